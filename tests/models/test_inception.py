"""If these fail, the network is not InceptionTime, or its answer depends on padding that its kernels reach."""

import pytest
import torch
from pydantic import ValidationError

from sigflow.models.inception import InceptionConfig, InceptionModel
from tests.models.parity import check_company, check_gradients, check_learns, check_parity, count, draw

SMALL = InceptionConfig(depth=4, filters=3, bottleneck=4, kernels=(3, 5, 9), dropout=0.3)


def test_the_default_has_the_papers_layers() -> None:
    def block(size: int) -> int:
        return 32 * size + 32 * 32 * (9 + 19 + 39) + 32 * size + 2 * 128

    residuals = (63 * 128 + 256) + (128 * 128 + 256)
    expected = block(63) + 5 * block(128) + residuals + 129 * 20
    assert count(InceptionModel(InceptionConfig(), 63, 20)) == expected


def test_neither_padding_nor_company_changes_an_answer() -> None:
    check_company(InceptionModel(SMALL, 5, 4), 5)


def test_many_layers_add_up_no_difference() -> None:
    check_company(InceptionModel(InceptionConfig(filters=8, bottleneck=8), 5, 4), 5)


def test_every_weight_learns() -> None:
    check_gradients(InceptionModel(SMALL, 5, 4), 5)


def test_a_few_clips_are_learnt_by_heart() -> None:
    check_learns(InceptionModel(SMALL.model_copy(update={"dropout": 0.0}), 5, 3), 5)


def test_the_served_model_gives_the_trained_ones_numbers() -> None:
    check_parity(InceptionModel(SMALL, 5, 4), 5)


def test_a_network_without_a_residual_works_too() -> None:
    assert InceptionModel(SMALL.model_copy(update={"depth": 2}), 5, 4)(*draw(3, 7, 5)).shape == (3, 4)


def test_dropout_acts_in_training_and_never_when_predicting() -> None:
    model, clips = InceptionModel(SMALL, 5, 3), draw(4, 6, 5)
    assert not torch.equal(model(*clips), model(*clips))
    model.eval()
    assert torch.equal(model(*clips), model(*clips))


@pytest.mark.parametrize("wrong", [{"dept": 8}, {"kernels": (10, 20, 40)}, {"kernels": ()}])
def test_a_stored_config_comes_back_and_a_wrong_one_does_not(wrong: dict[str, object]) -> None:
    assert InceptionConfig.model_validate_json(SMALL.model_dump_json(), strict=True) == SMALL
    with pytest.raises(ValidationError):
        InceptionConfig.model_validate(SMALL.model_dump() | wrong)
