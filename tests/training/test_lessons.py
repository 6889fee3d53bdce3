"""If these fail, a curriculum teaches what it should not yet, never moves on, or is counted as training."""

import numpy as np
import pytest

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import make_targets
from sigflow.monitors import Epoch
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.ways import Curriculum
from sigflow.storage import Location
from sigflow.training import fit
from sigflow.training.lessons import make_lessons, progress
from sigflow.training.parts import Part
from tests.training.killed import killed_and_resumed

RECIPE = override(
    find_recipe("isolated_gestures"),
    ["train.epochs=5", "model.hidden=[16]", "model.dense=8", "optim.lr=1e-2", "curriculum.vocabularies=[2]"],
)


def epochs(*accuracies: float) -> list[Epoch]:
    return [{"stop_accuracy": accuracy} for accuracy in accuracies]


@pytest.mark.parametrize(
    ("accuracies", "over", "spent"),
    [
        ((), 0, 0),
        ((0.5, 0.79), 0, 2),
        ((0.5, 0.8), 1, 2),  # good enough
        ((0.5, 0.6, 0.7), 1, 3),  # long enough
        ((0.9, 0.1, 0.95), 2, 3),
        ((0.9, 0.95, 0.1, 0.2), 2, 2),  # the training proper
    ],
)
def test_a_lesson_ends_at_its_accuracy_or_after_its_epochs(
    accuracies: tuple[float, ...], over: int, spent: int
) -> None:
    assert progress(epochs(*accuracies), 2, Curriculum(accuracy=0.8, epochs=3)) == (over, spent)


def test_lessons_come_first_and_do_not_count(clips: Clips, labels: list[str], fold: Fold) -> None:
    result = fit(override(RECIPE, ["curriculum.epochs=3", "curriculum.accuracy=1.0"]), clips, labels, fold)
    seen = [epoch["vocabulary"] for epoch in result.history]
    assert seen[0] == 2
    assert seen.count(len(labels)) == 5
    assert 1 <= seen.count(2) <= 3
    assert seen == sorted(seen)
    assert result.best_epoch > seen.count(2)  # a lesson's epoch is never the one that is kept


def part(*sentences: str) -> Part:
    targets = make_targets([sentence.split() for sentence in sentences], ["<blank>", "a", "b", "c", "d"])
    return Part(None, np.arange(len(sentences)), targets, None)  # type: ignore[arg-type]


def test_a_lesson_has_the_clips_whose_words_are_all_frequent() -> None:
    train, stop = part("a b", "a", "b a c", "a c", "d", "b"), part("d", "b b", "c a")
    first, second = make_lessons(train, stop, Curriculum(vocabularies=(2, 3, 4)))  # 4 are all
    assert (first.vocabulary, first.train.tolist(), first.stop.tolist()) == (2, [0, 1, 5], [1])
    assert (second.vocabulary, second.train.tolist(), second.stop.tolist()) == (3, [0, 1, 2, 3, 5], [1, 2])
    assert make_lessons(train, part("d"), Curriculum(vocabularies=(2,))) == []  # nothing to judge it by


def test_no_curriculum_no_lessons(clips: Clips, labels: list[str], fold: Fold) -> None:
    whole = override(RECIPE, [f"curriculum.vocabularies=[{len(labels)}]"])  # the first lesson would be all there is
    without = override(RECIPE, ["curriculum.vocabularies=[]"])
    a, b = (fit(recipe, clips, labels, fold) for recipe in (whole, without))
    assert a.history == b.history
    assert "vocabulary" not in a.history[0]


def test_a_curriculum_that_is_killed_goes_on(clips: Clips, labels: list[str], fold: Fold, at: Location) -> None:
    recipe = override(RECIPE, ["curriculum.epochs=3", "curriculum.accuracy=1.0"])
    whole = fit(recipe, clips, labels, fold)
    for moment in (2, 5):
        resumed = killed_and_resumed(recipe, clips, labels, fold, at, after=moment)
        assert resumed.history == whole.history
        assert resumed.metrics == whole.metrics
        at.delete()
