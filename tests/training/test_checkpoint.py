"""If these fail, a killed training starts over, goes on as another one, or takes up somebody else's state."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.models.conv_transformer import ConvTransformerConfig
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import PortfolioConfig
from sigflow.models.rocket import RocketConfig
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import Location
from sigflow.training import Checkpoint, Epoch, FoldResult, fit

PLAIN = override(
    find_recipe("isolated_gestures"), ["train.epochs=6", "model.hidden=[8]", "model.dense=8", "model.dropout=0.3"]
)
WITH_EVERYTHING = override(
    PLAIN, ["optim.ema_decay=0.9", "optim.schedule=plateau", "augmentation.noise_sizes=0.02", "mixing.mixup_alpha=0.4"]
)
PORTFOLIO = PLAIN.model_copy(
    update={
        "model": PortfolioConfig(
            members=(
                LstmConfig(hidden=(8,), dropout=0.2),
                RocketConfig(num_features=336),
                ConvTransformerConfig(dim=8, blocks=1, kernel_size=3),
            )
        ),
        "train": PLAIN.train.model_copy(update={"epochs": 3}),
    }
)


class KilledError(Exception):
    """What SIGKILL is to a process."""


def at(tmp_path: Path, key: str = "run") -> Checkpoint:
    return Checkpoint(Location(str(tmp_path / "checkpoint.pt")), key, every_s=0.0)


def killed_after(epochs: int, recipe: Recipe, clips: Clips, labels: list[str], fold: Fold, into: Checkpoint) -> None:
    seen: list[Epoch] = []

    def report(epoch: Epoch) -> None:
        if len(seen) == epochs:
            raise KilledError
        seen.append(epoch)

    with pytest.raises(KilledError):
        fit(recipe, clips, labels, fold, report=report, checkpoint=into)


def assert_same(a: FoldResult, b: FoldResult) -> None:
    assert a.history == b.history
    assert a.best_epoch == b.best_epoch
    assert a.alarms == b.alarms
    assert a.metrics == b.metrics
    assert all(torch.equal(weight, b.weights[name]) for name, weight in a.weights.items())
    assert all(np.array_equal(*pair) for pair in zip(a.test_probs, b.test_probs, strict=True))


@pytest.mark.parametrize(
    "recipe", [PLAIN, WITH_EVERYTHING, pytest.param(PORTFOLIO, marks=pytest.mark.slow)],
    ids=["plain", "everything", "portfolio"],
)  # fmt: skip
def test_a_killed_training_goes_on_and_ends_with_the_same_numbers(
    recipe: Recipe, clips: Clips, labels: list[str], fold: Fold, tmp_path: Path
) -> None:
    recipe = recipe.fitted_to(longest=60, channels=None)
    whole = fit(recipe, clips, labels, fold)
    for moment in (1, 4):
        killed_after(moment, recipe, clips, labels, fold, at(tmp_path))
        seen: list[Epoch] = []
        resumed = fit(recipe, clips, labels, fold, report=seen.append, checkpoint=at(tmp_path))
        assert_same(resumed, whole)
        assert len(seen) < len(whole.history)  # nothing that was done is done again
        at(tmp_path).file.delete()


def test_a_state_of_another_run_is_not_taken_up(clips: Clips, labels: list[str], fold: Fold, tmp_path: Path) -> None:
    killed_after(3, PLAIN, clips, labels, fold, at(tmp_path, "other"))
    seen: list[Epoch] = []
    fit(PLAIN, clips, labels, fold, report=seen.append, checkpoint=at(tmp_path))
    assert [epoch["epoch"] for epoch in seen] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_or_hostile_state_is_none(tmp_path: Path) -> None:
    assert at(tmp_path).load() is None
    at(tmp_path).save({"a": torch.ones(2)})
    state = at(tmp_path).load()
    assert state is not None
    assert torch.equal(state["a"], torch.ones(2))
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-20])
    assert at(tmp_path).load() is None
    torch.save({"key": "run", "state": Path("/")}, file)  # an object whose loading would run code
    assert at(tmp_path).load() is None


def test_states_are_not_written_more_often_than_asked_for(tmp_path: Path) -> None:
    assert at(tmp_path).due
    assert not replace(at(tmp_path), every_s=60.0).due
