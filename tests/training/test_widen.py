"""If these fail, a widened network does not begin where the small one ended, or its new units never learn."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sigflow.errors import UserError
from sigflow.features.frontend import Sequences
from sigflow.models.bilstm import BilstmConfig
from sigflow.models.conv_transformer import ConvTransformerConfig
from sigflow.models.graph import GraphConfig
from sigflow.models.lstm import LstmConfig
from sigflow.models.mlp import MlpConfig
from sigflow.models.recogniser import ModelConfig, Recogniser
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe
from sigflow.training import Start, begin_with, build
from sigflow.training.widen import places

SIGNS, LIPS = find_recipe("unified_signs"), find_recipe("lip_reading")
LABELS = ["a", "b", "c", "d"]


def with_model(recipe: Recipe, model: ModelConfig) -> Recipe:
    return recipe.model_copy(update={"model": model})


def bilstm(width: int) -> Recipe:
    return with_model(SIGNS, BilstmConfig(per_frame=False, projection=width, hidden=(width, width), norm="layer"))


def graph(width: int, layer: str = "gcn") -> Recipe:
    return with_model(LIPS, GraphConfig.model_validate({"layer": layer, "spatial_dim": width, "temporal_dim": width}))


def lstm(width: int) -> Recipe:
    return with_model(SIGNS, LstmConfig(hidden=(width, width), norm="layer"))


def mlp(width: int) -> Recipe:
    return with_model(SIGNS, MlpConfig(hidden=(width, 2 * width), dropout=(0.1, 0.1)))


def trained(recipe: Recipe, classes: int = 4) -> Recogniser:
    """Every number is one that no initialisation gives."""
    torch.manual_seed(0)
    model = build(recipe, classes)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and "share_F" not in name:
            tensor += 0.03 * torch.rand_like(tensor)
    return model.eval()


def clips(recipe: Recipe) -> Sequences:
    torch.manual_seed(1)
    frames = recipe.frontend.resampling.num_frames or 9
    return Sequences(torch.randn(5, frames, recipe.frontend.size), torch.tensor([frames] * 5))


def widened(small: Recogniser, recipe: Recipe, wide: Recipe, labels: list[str] = LABELS) -> Recogniser:
    torch.manual_seed(2)
    model = build(wide, len(labels))
    begin_with(model, labels, Start(small.state_dict(), LABELS, recipe))
    return model.eval()


@pytest.mark.parametrize(
    "kind", [pytest.param(bilstm, marks=pytest.mark.slow), pytest.param(graph, marks=pytest.mark.slow), lstm, mlp]
)
def test_each_step_of_widening_begins_with_the_same_answers(kind: Callable[[int], Recipe]) -> None:
    recipes = [kind(width) for width in (128, 160, 192)]
    first = model = trained(recipes[0])
    for small, wide in pairwise(recipes):
        model = widened(model, small, wide)
        assert sum(p.numel() for p in model.parameters()) > sum(p.numel() for p in first.parameters())
        torch.testing.assert_close(model.classify(clips(wide)), first.classify(clips(wide)), atol=1e-5, rtol=1e-4)


def test_attention_over_nodes_is_widened_too() -> None:
    small, wide = graph(16, "attention"), graph(24, "attention")
    model = trained(small)
    again = widened(model, small, wide).classify(clips(wide))
    torch.testing.assert_close(again, model.classify(clips(small)), atol=1e-5, rtol=1e-4)


def test_new_units_learn_from_the_first_step_on() -> None:
    model = widened(trained(bilstm(16)), bilstm(16), bilstm(24)).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> dict[str, Tensor]:
        optimiser.zero_grad()
        model.classify(clips(bilstm(24))).logsumexp(1).sum().backward()
        optimiser.step()
        return {name: p.grad.abs() for name, p in model.named_parameters() if p.grad is not None}

    old = set(places(32, 48).tolist())
    new = [unit for unit in range(48) if unit not in old]
    assert (step()["model.head.weight"][:, new] > 0).any()  # what reads them
    assert (step()["model.layers.0.ahead.weight_ih_l0"][[unit for unit in new if unit < 24]] > 0).any()


def test_other_labels_and_a_wider_network_go_together() -> None:
    small = trained(bilstm(16))
    model = widened(small, bilstm(16), bilstm(24), ["new", "d", "b"])
    mine, theirs = model.classify(clips(bilstm(24))), small.classify(clips(bilstm(16)))
    torch.testing.assert_close(mine[:, [1, 2]], theirs[:, [3, 1]], atol=1e-5, rtol=1e-4)


def test_what_cannot_be_widened_is_refused_with_what_can() -> None:
    small, wide = (with_model(SIGNS, ConvTransformerConfig(dim=dim, blocks=1)) for dim in (16, 32))
    with pytest.raises(UserError, match=r"cannot be widened .*; widen lstm, bilstm, mlp or graph"):
        widened(trained(small), small, wide)


def test_a_narrower_network_and_other_features_are_no_widening() -> None:
    with pytest.raises(UserError, match="holds another network"):
        widened(trained(bilstm(24)), bilstm(24), bilstm(16))
    fewer = with_model(find_recipe("isolated_gestures"), bilstm(16).model)
    with pytest.raises(UserError, match=r"holds another network: scaler\.mean"):
        widened(trained(fewer), fewer, bilstm(16))


def test_old_units_stand_alike_in_axes_that_lie_side_by_side() -> None:
    one = places(128, 160).tolist()
    assert places(256, 320).tolist() == [*one, *(160 + unit for unit in one)]
    assert sorted(set(one)) == one
