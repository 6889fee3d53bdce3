"""If these fail, a population compares other trainings than it says, or copies settings without the weights."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, make_folds
from sigflow.data.targets import vocabulary, words
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import Location, locate
from sigflow.training import Checkpoint, Epoch, fit
from sigflow.tuning import Overrides
from sigflow.tuning.measure import LateError
from sigflow.tuning.segment import Stand, train_segment

KEY = "a population"
RECIPE = override(
    find_recipe("isolated_gestures"),
    ["model.hidden=[8]", "model.dense=8", "train.epochs=6", "train.patience=2", "optim.schedule=cosine"],
)


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, RECIPE.parts)


@pytest.fixture(scope="module")
def labels(clips: Clips) -> list[str]:
    return list(vocabulary(words(clips, sentences=False), blank=False))


@pytest.fixture(scope="module")
def fold(clips: Clips) -> Fold:
    names = [str(label) for label in clips.column("label")]
    return make_folds(names, clips.column("subject"), clips.column("split"), spec="3").folds[0]


@pytest.fixture
def trained(clips: Clips, labels: list[str], fold: Fold, tmp_path: Path) -> Any:
    """Trains a segment of three, with settings, in a file of this name; gives the stand and the state."""

    def train(name: str, segment: int, settings: Overrides, recipe: Recipe = RECIPE, **more: Any) -> Any:
        file = locate(tmp_path) / name
        stand = train_segment(
            recipe, settings, clips, labels, more.pop("fold", fold), file, key=KEY, segment=segment, segments=3, **more
        )
        return stand, (Checkpoint(file, KEY).load() or {}).get("descent", {})

    return train


def test_segments_together_are_one_training_and_score_its_stop_part(
    trained: Any, clips: Clips, labels: list[str], fold: Fold
) -> None:
    patient = override(RECIPE, ["train.patience=6"])
    whole: list[Epoch] = []
    fit(patient, clips, labels, fold, report=whole.append)
    for segment in (1, 2, 3):
        stand, state = trained("state", segment, {})
        assert [epoch["loss"] for epoch in state["history"]] == [epoch["loss"] for epoch in whole[: 2 * segment]]
        assert stand == Stand(whole[2 * segment - 1]["stop_macro_f1"])


def test_the_test_part_has_no_say(trained: Any, fold: Fold) -> None:
    """With another one nothing changes: no choice is made by what scores the winner."""
    other = Fold(fold.number, fold.train, fold.stop, fold.train[:3])
    assert trained("with", 1, {})[0] == trained("without", 1, {}, fold=other)[0]


def test_a_copy_begins_with_its_donors_weights_and_trains_with_its_own_settings(trained: Any, tmp_path: Path) -> None:
    """A rate of almost nothing leaves the donor's weights where they are: it is used, and the optimiser's is not."""
    _, donor = trained("donor", 1, {"optim.lr": 0.01})
    (tmp_path / "copy").write_bytes((tmp_path / "donor").read_bytes())
    _, copy = trained("copy", 2, {"optim.lr": 1e-9, "optim.weight_decay": 0.07})
    _, same = trained("donor", 2, {"optim.lr": 0.01})
    weights = [name for name, tensor in donor["model"].items() if tensor.is_floating_point()]
    assert all(torch.allclose(copy["model"][name], donor["model"][name], atol=1e-6) for name in weights)
    assert not all(torch.allclose(same["model"][name], donor["model"][name], atol=1e-3) for name in weights)
    (group,) = copy["optimiser"]["param_groups"]
    assert group["weight_decay"] == 0.07
    assert 0 < group["lr"] < 1e-9  # part of the way down the cosine
    assert copy["history"][:2] == donor["history"]  # it goes on, and does not begin anew


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"optim.lr": 1e30}, "diverged: fold 0 diverged in epoch 1"),
        ({"model.dropout": 2}, "bad configuration: --set: model"),
    ],
)
def test_what_cannot_be_trained_has_a_reason_and_no_score(trained: Any, settings: Overrides, reason: str) -> None:
    stand, _ = trained("state", 1, settings)
    assert stand.score is None
    assert stand.reason.startswith(reason)


def test_a_collapsed_member_is_one_to_copy_over(trained: Any) -> None:
    """A rate of nothing answers everything alike; patience, which a population has none of, does not hide it."""
    stuck = override(RECIPE, ["train.epochs=30", "monitors.grace=1", "monitors.patience=2", "monitors.entropy=1"])
    stand, _ = trained("state", 1, {"optim.lr": 1e-12}, stuck)
    assert stand.score is None
    assert stand.reason.startswith("collapse: ")


def test_a_member_that_does_not_improve_goes_on(trained: Any) -> None:
    steady = override(RECIPE, ["train.patience=1", "monitors.collapse=off", "train.epochs=12"])
    stand, state = trained("state", 1, {"optim.lr": 1e-12}, steady)
    assert stand.score is not None
    assert len(state["history"]) == 4


def test_when_the_time_is_over_it_ends_without_a_score(trained: Any) -> None:
    with pytest.raises(LateError):
        trained("state", 1, {}, deadline=0.0)
