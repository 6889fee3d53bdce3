"""If these fail, the model is not the one that was asked for, or its answer depends on its neighbours' lengths."""

import pytest
import torch

from sigflow.models.lstm import LstmConfig, LstmModel


def count(model: LstmModel) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_default_is_the_requirements_network_to_the_last_parameter() -> None:
    model = LstmModel(LstmConfig(), 63, 3)
    second_biases = sum(p.numel() for name, p in model.named_parameters() if "bias_hh" in name)
    assert second_biases == 384  # torch's own, Keras has one bias vector
    assert count(model) == 46_723
    assert count(model) - second_biases == 46_339


@pytest.mark.parametrize("hidden", [(8,), (8, 4), (6, 5, 4)])
@pytest.mark.parametrize("classes", [2, 11])
def test_any_depth_gives_one_number_per_class(hidden: tuple[int, ...], classes: int) -> None:
    model = LstmModel(LstmConfig(hidden=hidden, dense=7), 5, classes)
    assert model(torch.randn(3, 9, 5), torch.tensor([9, 1, 4])).shape == (3, classes)


def test_frames_at_and_beyond_the_length_are_never_looked_at() -> None:
    model = LstmModel(LstmConfig(hidden=(8, 4)), 5, 3).eval()
    x_BTF, lengths_B = torch.randn(2, 10, 5), torch.tensor([6, 10])
    expected = model(x_BTF, lengths_B)
    other = torch.cat([x_BTF, torch.randn(2, 7, 5)], 1)
    other[0, 6:] = float("nan")
    assert torch.allclose(model(other, lengths_B), expected, atol=1e-6)
    assert torch.allclose(model(x_BTF[:1, :6], lengths_B[:1]), expected[:1], atol=1e-6)


def test_dropout_acts_in_training_and_never_when_predicting() -> None:
    model = LstmModel(LstmConfig(hidden=(16,), dropout=0.5), 5, 3)
    x_BTF, lengths_B = torch.randn(4, 6, 5), torch.full((4,), 6)
    assert not torch.equal(model(x_BTF, lengths_B), model(x_BTF, lengths_B))
    model.eval()
    assert torch.equal(model(x_BTF, lengths_B), model(x_BTF, lengths_B))


def test_every_weight_learns() -> None:
    model = LstmModel(LstmConfig(hidden=(8, 4), dense=6), 5, 3)
    model(torch.randn(16, 7, 5), torch.full((16,), 7)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
