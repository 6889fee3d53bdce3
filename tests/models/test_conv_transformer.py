"""If these fail, the contest's winning layout is not what is trained, or its answer depends on the batch."""

import pytest
import torch
from pydantic import ValidationError

from sigflow.models.conv_transformer import ConvTransformerConfig, ConvTransformerModel
from tests.models.parity import check_company, check_gradients, check_learns, check_parity, count, draw

SMALL = ConvTransformerConfig(dim=8, blocks=1, convs_per_block=2, kernel_size=5, heads=2)
VARIANTS = [
    SMALL,
    ConvTransformerConfig(
        dim=12, blocks=2, convs_per_block=1, kernel_size=4, heads=3, norm="layer", pooling="attention"
    ),
]


def test_the_default_has_the_winners_layers() -> None:
    dim, wide = 128, 256
    convolution = (dim + 1) * wide + 17 * wide + 2 * wide + 5 + (wide + 1) * dim
    transformer = 4 * dim + 3 * dim * dim + dim * dim + 2 * dim * wide
    head = (dim + 1) * wide + (wide + 1) * 250
    expected = 63 * dim + 2 * dim + 2 * (3 * convolution + transformer) + head
    assert count(ConvTransformerModel(ConvTransformerConfig(), 63, 250)) == expected


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_neither_padding_nor_company_changes_an_answer(config: ConvTransformerConfig) -> None:
    check_company(ConvTransformerModel(config, 5, 4), 5)


def test_many_layers_add_up_no_difference() -> None:
    check_company(ConvTransformerModel(ConvTransformerConfig(dim=32), 5, 4), 5)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_every_weight_learns(config: ConvTransformerConfig) -> None:
    check_gradients(ConvTransformerModel(config, 5, 4), 5)


@pytest.mark.parametrize("config", VARIANTS, ids=str)
def test_a_few_clips_are_learnt_by_heart(config: ConvTransformerConfig) -> None:
    check_learns(ConvTransformerModel(config.model_copy(update={"dropout": 0.0}), 5, 3), 5)


def test_the_served_model_gives_the_trained_ones_numbers() -> None:
    check_parity(ConvTransformerModel(SMALL, 5, 4), 5)


def test_the_order_of_the_frames_matters() -> None:
    model = ConvTransformerModel(SMALL, 5, 4).eval()
    x_BNF, lengths_B, seen_BN = torch.randn(1, 9, 5), torch.tensor([9]), torch.ones(1, 9, dtype=torch.bool)
    assert not torch.allclose(model(x_BNF, lengths_B, seen_BN), model(x_BNF.flip(1), lengths_B, seen_BN), atol=1e-5)


def test_dropout_acts_in_training_and_never_when_predicting() -> None:
    model, clips = ConvTransformerModel(SMALL, 5, 3), draw(4, 6, 5)
    assert not torch.equal(model(*clips), model(*clips))
    model.eval()
    assert torch.equal(model(*clips), model(*clips))


@pytest.mark.parametrize("wrong", [{"dims": 8}, {"dim": 130}, {"kernel_size": 0}])
def test_a_stored_config_comes_back_and_a_wrong_one_does_not(wrong: dict[str, object]) -> None:
    for config in VARIANTS:
        assert ConvTransformerConfig.model_validate_json(config.model_dump_json(), strict=True) == config
    with pytest.raises(ValidationError):
        ConvTransformerConfig.model_validate(SMALL.model_dump() | {"heads": 4} | wrong)
