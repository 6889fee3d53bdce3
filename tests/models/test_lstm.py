"""If these fail, the model is not the one that was asked for, or its answer depends on its neighbours' lengths."""

import pytest
import torch
from pydantic import ValidationError

from sigflow.errors import UserError
from sigflow.models.lstm import LstmConfig, LstmModel
from tests.models.parity import Batch, check_company, check_gradients, check_learns, check_parity, count, draw

FALLS = LstmConfig(hidden=(64,), dropout=0.3, skip_missing=True, single_logit=True)
DEEP = LstmConfig(hidden=(16,), dense=(16, 16), skip_missing=True, pooling="attention", norm="batch")
VARIANTS = [
    LstmConfig(hidden=(8, 4), dense=6, init="he"),
    LstmConfig(hidden=(8,), dense=(7, 6), skip_missing=True, pooling="attention", norm="batch"),
    LstmConfig(hidden=(6, 5, 4), dense=4, norm="layer", pooling="attention", dense_activation="linear"),
]


def keras_count(model: LstmModel) -> int:
    """Without the second bias vector of torch's LSTM, which Keras does not have."""
    return count(model) - sum(4 * layer.hidden for layer in model.layers)  # type: ignore[operator,misc]


@pytest.mark.parametrize(
    ("config", "size", "classes", "keras", "ours"),
    [
        (LstmConfig(), 63, 3, 46_339, 46_723),
        (LstmConfig(hidden=(64, 128, 64), dense=(64, 32)), 63, 3, 187_331, 188_355),
        (FALLS, 6, 2, 20_289, 20_545),
    ],
    ids=["gestures", "earlier gestures", "falls"],
)
def test_the_requirements_networks_to_the_last_parameter(
    config: LstmConfig, size: int, classes: int, keras: int, ours: int
) -> None:
    model = LstmModel(config, size, classes)
    assert (keras_count(model), count(model)) == (keras, ours)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
@pytest.mark.parametrize("classes", [2, 11])
def test_any_shape_gives_one_number_per_class(config: LstmConfig, classes: int) -> None:
    assert LstmModel(config, 5, classes)(*draw(3, 9, 5)).shape == (3, classes)


@pytest.mark.parametrize("config", [*VARIANTS, FALLS], ids=str)
def test_neither_padding_nor_company_changes_an_answer(config: LstmConfig) -> None:
    check_company(LstmModel(config, 5, 2), 5)


@pytest.mark.parametrize("config", [*VARIANTS, FALLS], ids=str)
def test_every_weight_learns(config: LstmConfig) -> None:
    check_gradients(LstmModel(config, 5, 2), 5)


@pytest.mark.parametrize("config", [LstmConfig(hidden=(16,)), DEEP], ids=str)
def test_a_few_clips_are_learnt_by_heart(config: LstmConfig) -> None:
    check_learns(LstmModel(config, 5, 3), 5)


def test_the_served_model_gives_the_trained_ones_numbers() -> None:
    check_parity(LstmModel(FALLS.model_copy(update={"norm": "batch", "pooling": "attention"}), 6, 2), 6)


def test_an_unseen_frame_is_as_if_it_had_never_been_recorded() -> None:
    model = LstmModel(FALLS, 6, 2).eval()
    x_BNF = torch.randn(1, 9, 6)
    seen_BN = torch.tensor([[False, True, True, False, True, False, False, True, False]])
    kept = torch.tensor([1, 2, 4, 7])
    expected = model(x_BNF[:, kept], torch.tensor([4]), torch.ones(1, 4, dtype=torch.bool))
    assert torch.allclose(model(x_BNF, torch.tensor([9]), seen_BN), expected, atol=1e-6)
    assert not torch.allclose(LstmModel(LstmConfig(), 6, 2)(x_BNF, torch.tensor([9]), seen_BN), expected)


def test_a_single_logit_makes_the_softmax_a_sigmoid() -> None:
    model = LstmModel(FALLS, 6, 2).eval()
    logits = model(*draw(4, 8, 6))
    assert torch.equal(logits[:, 0], torch.zeros(4))
    assert torch.allclose(logits.softmax(1)[:, 1], logits[:, 1].sigmoid())


def test_a_single_logit_for_three_classes_says_what_to_change() -> None:
    with pytest.raises(UserError, match="single_logit"):
        LstmModel(FALLS, 6, 3)


@pytest.mark.parametrize(("init", "limit"), [("xavier", (6 / (8 + 400)) ** 0.5), ("he", (6 / 8) ** 0.5)])
def test_linear_layers_start_at_the_chosen_scale(init: str, limit: float) -> None:
    config = LstmConfig.model_validate({"hidden": (8,), "dense": 400, "init": init})
    largest = float(LstmModel(config, 5, 3).dense[0].weight.detach().abs().max())  # type: ignore[operator]
    assert 0.95 * limit < largest <= limit


def test_dropout_acts_in_training_and_never_when_predicting() -> None:
    model = LstmModel(LstmConfig(hidden=(16,), dropout=0.5), 5, 3)
    clips = Batch(torch.randn(4, 6, 5), torch.full((4,), 6), torch.ones(4, 6, dtype=torch.bool))
    assert not torch.equal(model(*clips), model(*clips))
    model.eval()
    assert torch.equal(model(*clips), model(*clips))


@pytest.mark.parametrize("config", [*VARIANTS, FALLS], ids=str)
def test_a_stored_config_comes_back_and_a_misspelt_one_does_not(config: LstmConfig) -> None:
    assert LstmConfig.model_validate_json(config.model_dump_json(), strict=True) == config
    with pytest.raises(ValidationError):
        LstmConfig.model_validate(config.model_dump() | {"hiden": 3})
