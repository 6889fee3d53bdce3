"""If these fail, one bad setting ends a search, or a trial's score is not what training would have reached."""

import time
from dataclasses import replace

import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Folds, make_folds
from sigflow.data.targets import vocabulary, words
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location
from sigflow.training import fit
from sigflow.tuning import Overrides, Standing, train_in_turn

RECIPE = override(
    find_recipe("isolated_gestures"), ["model.hidden=[8]", "model.dense=8", "train.epochs=3", "train.patience=3"]
)


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, RECIPE.parts)


@pytest.fixture(scope="module")
def folds(clips: Clips) -> Folds:
    return make_folds(clips.column("label"), clips.column("subject"), clips.column("split"), spec="3")  # type: ignore[arg-type]


def stands(clips: Clips, folds: Folds, overrides: Overrides, *, deadline: float | None = None) -> list[Standing]:
    labels = vocabulary(words(clips, sentences=False), blank=False)
    return list(train_in_turn(RECIPE, overrides, clips, labels, folds.folds, deadline=deadline))


def test_each_fold_scores_what_training_it_alone_gives(clips: Clips, folds: Folds) -> None:
    """On the test part, with the settings asked for, and without the parts that only other recipes read."""
    more = replace(clips, parts={**clips.parts, "pose": torch.zeros(len(clips.time_s_S), 33, 3)})
    given = stands(more, folds, {"optim.lr": 0.01})
    recipe = override(RECIPE, ["optim.lr=0.01"])
    labels = vocabulary(words(clips, sentences=False), blank=False)
    scores = [fit(recipe, clips, labels, fold).metrics["macro_f1"] for fold in folds.folds]
    assert [standing.scores for standing in given] == [tuple(scores[:1]), tuple(scores[:2]), tuple(scores)]
    assert not any(standing.failed or standing.late for standing in given)


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"optim.lr": 1e30}, "diverged: fold 0 diverged in epoch"),
        ({"model.hidden": [10**7]}, "out of memory: "),
        ({"model.dropout": 2}, "bad configuration: --set: model"),
        ({"model.single_logit": True}, "bad configuration: "),
        ({"frontend.features": [{"kind": "body"}]}, "bad configuration: "),  # nobody has read the pose
    ],
)
def test_what_cannot_be_trained_fails_with_its_reason(
    clips: Clips, folds: Folds, overrides: Overrides, reason: str
) -> None:
    (standing,) = stands(clips, folds, overrides)
    assert standing.scores == ()
    assert standing.failed is not None
    assert standing.failed.startswith(reason)


def test_when_the_time_is_over_it_ends_within_an_epoch_and_keeps_its_folds(clips: Clips, folds: Folds) -> None:
    (at_once,) = stands(clips, folds, {}, deadline=time.time() - 1)
    assert at_once == Standing(late=True)
    begun = time.time()
    long = {"train.epochs": 100_000, "train.patience": 100_000}
    (later,) = stands(clips, folds, long, deadline=begun + 1)
    assert later == Standing(late=True)
