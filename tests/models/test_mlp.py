"""If these fail, the unified-signs network is another one, or counts frames in which nothing was seen."""

import pytest
import torch
from pydantic import ValidationError

from sigflow.models.mlp import MlpConfig, MlpModel, clip_statistics
from tests.models.parity import check_company, check_gradients, check_learns, check_parity, count, draw

SMALL = MlpConfig(hidden=(16, 8), dropout=(0.4, 0.2))


def test_the_default_is_the_requirements_network() -> None:
    dense = (4 * 63 + 1) * 512 + 513 * 256 + 257 * 128 + 129 * 197
    assert count(MlpModel(MlpConfig(), 63, 197)) == dense + 2 * (512 + 256 + 128) == 320_965


def test_statistics_are_of_the_seen_frames_alone() -> None:
    x_BNF = torch.tensor([[[1.0, 5.0], [9.0, 9.0], [3.0, -1.0], [float("nan"), 0.0]]])
    got = clip_statistics(x_BNF, torch.tensor([[True, False, True, False]]))
    assert torch.allclose(got, torch.tensor([[2.0, 2.0, 1.0, 3.0, 1.0, -1.0, 3.0, 5.0]]))


def test_a_clip_in_which_nothing_was_seen_has_statistics_of_zero() -> None:
    x_BNF = torch.full((1, 3, 2), float("nan"))
    assert torch.equal(clip_statistics(x_BNF, torch.zeros(1, 3, dtype=torch.bool)), torch.zeros(1, 8))


def test_neither_padding_nor_company_changes_an_answer() -> None:
    check_company(MlpModel(SMALL, 5, 4), 5)


def test_every_weight_learns() -> None:
    check_gradients(MlpModel(SMALL, 5, 4), 5)


def test_a_few_clips_are_learnt_by_heart() -> None:
    check_learns(MlpModel(MlpConfig(hidden=(32, 16), dropout=(0.0, 0.0)), 5, 3), 5)


def test_a_last_batch_of_one_clip_does_not_stop_the_training() -> None:
    model = MlpModel(SMALL, 5, 4)
    logits = model(*draw(1, 6, 5))
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_the_served_model_gives_the_trained_ones_numbers() -> None:
    check_parity(MlpModel(SMALL, 5, 4), 5)


def test_dropout_acts_in_training_and_never_when_predicting() -> None:
    model, clips = MlpModel(SMALL, 5, 3), draw(4, 6, 5)
    assert not torch.equal(model(*clips), model(*clips))
    model.eval()
    assert torch.equal(model(*clips), model(*clips))


@pytest.mark.parametrize("wrong", [{"hiden": 3}, {"dropout": (0.1,)}, {"dropout": (0.1, 1.0, 0.1)}])
def test_a_stored_config_comes_back_and_a_wrong_one_does_not(wrong: dict[str, object]) -> None:
    assert MlpConfig.model_validate_json(SMALL.model_dump_json(), strict=True) == SMALL
    with pytest.raises(ValidationError):
        MlpConfig.model_validate(MlpConfig().model_dump() | wrong)
