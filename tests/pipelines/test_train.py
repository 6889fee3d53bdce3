"""If these fail, a run on data that cannot support it looks like any other."""

from sigflow.data.folds import make_folds
from sigflow.pipelines.train import FEW_CLIPS, doubts


def test_few_clips_and_small_folds_are_said_before_anyone_relies_on_them() -> None:
    labels = ["a", "b"] * 12
    subjects = [name for name in "wxyz" for _ in range(6)]
    folds = make_folds(labels, subjects, [None] * 24, spec="subject")
    found = doubts(labels, folds)
    assert f"2 of 2 classes have fewer than {FEW_CLIPS} clips (a: 12)" in found
    assert sum("tests on 6 clips" in line for line in found) == 4


def test_enough_clips_of_several_people_raise_no_doubt() -> None:
    labels = ["a", "b"] * 150
    subjects = [name for name in "vwxyz" for _ in range(60)]
    assert doubts(labels, make_folds(labels, subjects, [None] * 300, spec="5")) == []


def test_folds_that_split_a_person_are_always_doubted() -> None:
    labels = ["a", "b"] * 150
    folds = make_folds(labels, [None] * 300, [None] * 300, spec="random:5")
    assert any("not subject-independent" in line for line in doubts(labels, folds))
