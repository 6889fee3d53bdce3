"""If these fail, training in bfloat16 leaves weights that nobody can rely on, or nothing is computed in it at all."""

import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.models.bilstm import BilstmConfig
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location
from sigflow.training import fit
from sigflow.training.checkpoint import Checkpoint
from tests.training.killed import killed_and_resumed

RECIPE = override(find_recipe("isolated_gestures"), ["train.epochs=25", "train.precision=bf16", "optim.lr=1e-2"])
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.mark.parametrize("device", DEVICES)
def test_it_learns_as_well_and_keeps_float32_weights(
    clips: Clips, labels: list[str], fold: Fold, at: Location, device: str
) -> None:
    place = torch.device(device)
    half = fit(RECIPE, clips, labels, fold, device=place, checkpoint=Checkpoint(at, "run", every_s=0.0))
    full = fit(override(RECIPE, ["train.precision=fp32"]), clips, labels, fold, device=place)
    assert half.history[0]["loss"] != full.history[0]["loss"]
    assert half.history[0]["loss"] == pytest.approx(full.history[0]["loss"], rel=0.02)
    assert half.metrics["macro_f1"] >= full.metrics["macro_f1"] - 0.1
    assert {weight.dtype for weight in half.weights.values() if weight.is_floating_point()} == {torch.float32}
    kept = Checkpoint(at, "run").load()
    assert kept is not None
    moments = [value for state in kept["descent"]["optimiser"]["state"].values() for value in state.values()]
    assert {
        tensor.dtype for tensor in (*kept["descent"]["model"].values(), *moments) if tensor.is_floating_point()
    } == {torch.float32}


def test_what_is_judged_is_judged_in_float32(clips: Clips, labels: list[str], fold: Fold) -> None:
    """The same weights say the same, whatever they were trained with."""
    barely = override(RECIPE, ["train.epochs=1", "optim.lr=1e-12", "optim.weight_decay=0"])
    half, full = (fit(override(barely, [f"train.precision={name}"]), clips, labels, fold) for name in ("bf16", "fp32"))
    assert half.history[0]["stop_loss"] == pytest.approx(full.history[0]["stop_loss"], abs=1e-7)


def test_a_killed_training_goes_on_in_it_and_ends_with_the_same_numbers(
    clips: Clips, labels: list[str], fold: Fold, at: Location
) -> None:
    recipe = override(
        RECIPE.model_copy(update={"model": BilstmConfig(per_frame=False, hidden=(16,), dropout=0.1)}),
        ["train.epochs=4", "pretraining.masked_epochs=2"],
    )
    whole = fit(recipe, clips, labels, fold)
    resumed = killed_and_resumed(recipe, clips, labels, fold, at, after=4)
    assert resumed.history == whole.history
    assert resumed.pretraining == whole.pretraining
    assert all(torch.equal(weight, whole.weights[name]) for name, weight in resumed.weights.items())
