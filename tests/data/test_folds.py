"""If these fail, scores are measured on people whom the model has seen, and promise what it cannot do."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.data.folds import Folds, make_folds
from sigflow.errors import UserError

LABELS = [f"label{i % 3}" for i in range(90)]
SUBJECTS = [f"person{i // 9}" for i in range(90)]
NO_SPLIT: list[str | None] = [None] * 90


def folds_of(
    labels: Sequence[str], subjects: Sequence[str | None], spec: str, holdout: Sequence[str] = (), seed: int = 0
) -> Folds:
    return make_folds(
        labels,
        subjects,
        [None] * len(labels),
        spec=spec if spec in ("subject", "split") else f"{spec}@{seed}",
        holdout=holdout,
    )


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Clips of 2 to 4 labels by 1 to 8 people, as unbalanced as it comes."""
    people, classes = draw(st.integers(1, 8)), draw(st.integers(2, 4))
    rows = draw(st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, people - 1)), min_size=4, max_size=60))
    return [f"label{label}" for label, _ in rows], [f"person{person}" for _, person in rows]


@settings(deadline=None, max_examples=150)
@given(tables(), st.sampled_from(["2", "3", "5", "subject"]), st.integers(0, 3))
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_no_table_makes_a_subject_cross_train_stop_and_test(
    table: tuple[list[str], list[str]], spec: str, seed: int
) -> None:
    labels, subjects = table
    try:
        folds = folds_of(labels, subjects, spec, seed=seed)
    except UserError:
        return
    assert folds.subject_independent
    tested = np.concatenate([fold.test for fold in folds.folds])
    assert sorted(tested.tolist()) == list(range(len(labels)))  # every clip is tested, and tested once
    for fold in folds.folds:
        parts = (fold.train, fold.stop, fold.test)
        assert all(len(part) for part in parts)
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
        people = [{subjects[i] for i in part} for part in parts]
        assert sum(map(len, people)) == len(set().union(*people))


@settings(deadline=None, max_examples=50)
@given(tables(), st.sampled_from(["random:2", "random:4"]))
@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_random_folds_never_use_a_clip_twice_and_are_marked_not_subject_independent(
    table: tuple[list[str], list[str]], spec: str
) -> None:
    try:
        folds = folds_of(*table, spec)
    except UserError:
        return
    assert not folds.subject_independent
    assert sorted(i for fold in folds.folds for i in fold.test.tolist()) == list(range(len(table[0])))
    for fold in folds.folds:
        assert len({*fold.train, *fold.stop, *fold.test}) == len(fold.train) + len(fold.stop) + len(fold.test)


@pytest.mark.parametrize("spec", ["5", "subject", "random:5"])
def test_every_part_of_every_fold_has_every_label_in_its_share(spec: str) -> None:
    for fold in folds_of(LABELS, SUBJECTS, spec).folds:
        for part in (fold.train, fold.stop, fold.test):
            counts = Counter(LABELS[i] for i in part)
            assert len(counts) == 3
            assert max(counts.values()) - min(counts.values()) <= 1
        assert len(fold.train) >= len(LABELS) / 2
        assert (np.diff(fold.train) > 0).all()


def test_leave_one_subject_out_tests_each_person_alone() -> None:
    folds = folds_of(LABELS, SUBJECTS, "subject")
    assert [len({SUBJECTS[i] for i in fold.test}) for fold in folds.folds] == [1] * 10
    assert {SUBJECTS[fold.test[0]] for fold in folds.folds} == set(SUBJECTS)


def test_the_same_seed_gives_the_same_folds_and_another_seed_others() -> None:
    first, again, other = (folds_of(LABELS, SUBJECTS, "5", seed=seed) for seed in (7, 7, 8))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_the_holdout_leaves_before_folding() -> None:
    folds = folds_of(LABELS, SUBJECTS, "4", holdout=["person1", "person4"])
    assert {SUBJECTS[i] for i in folds.holdout} == {"person1", "person4"}
    assert len(folds.holdout) == 18
    for fold in folds.folds:
        assert not {*fold.train, *fold.stop, *fold.test} & set(folds.holdout.tolist())


def test_the_written_table_says_each_clips_role_in_each_fold() -> None:
    folds = folds_of(LABELS, SUBJECTS, "3", holdout=["person0"])
    rows = folds.table([f"clip{i}" for i in range(90)]).to_pylist()
    assert len(rows) == 3 * 81 + 9
    assert {row["clip_id"] for row in rows if row["role"] == "holdout"} == {f"clip{i}" for i in range(9)}
    assert {row["fold"] for row in rows if row["role"] == "holdout"} == {-1}
    tested = {row["clip_id"] for row in rows if row["role"] == "test" and row["fold"] == 2}
    assert tested == {f"clip{i}" for i in folds.folds[2].test}


def test_a_split_column_is_followed_and_independent_only_if_no_subject_crosses() -> None:
    splits = [("train", "Val", "test")[i // 30] for i in range(90)]
    people = [f"person{i // 15}" for i in range(90)]
    folds = make_folds(LABELS, people, splits, spec="split")
    (fold,) = folds.folds
    assert [part.tolist() for part in (fold.train, fold.stop, fold.test)] == [
        list(range(30)), list(range(30, 60)), list(range(60, 90)),
    ]  # fmt: skip
    assert folds.subject_independent
    assert not make_folds(LABELS, ["one"] * 90, splits, spec="split").subject_independent
    strangers: list[str | None] = [*people[:-1], None]
    assert not make_folds(LABELS, strangers, splits, spec="split").subject_independent


def test_an_unknown_subject_is_never_taken_for_an_independent_one() -> None:
    subjects: list[str | None] = [*SUBJECTS[:81], *[None] * 9]
    assert not folds_of(LABELS, subjects, "5").subject_independent


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([None] * 90, "found 'None'"),
        (["train", "dev", "test"] * 30, "found 'dev'"),
        (["train", "val", "train"] * 30, "no clip has the role test"),
    ],
)
def test_a_split_column_that_cannot_serve_is_refused(splits: list[str | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_folds(LABELS, SUBJECTS, splits, spec="split")


@pytest.mark.parametrize("spec", ["", "1", "0", "-3", "five", "5:3", "random", "random:", "random:1", "subject:2"])
def test_a_misspelt_folds_flag_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match="is none of: a number from 2, subject, split, random:N"):
        folds_of(LABELS, SUBJECTS, spec)


@pytest.mark.parametrize(("people", "spec"), [(4, "5"), (2, "2"), (2, "subject"), (1, "5")])
def test_fewer_subjects_than_folds_are_refused_with_the_way_out(people: int, spec: str) -> None:
    subjects = [f"person{i % people}" for i in range(90)]
    with pytest.raises(UserError, match=rf"there are {people} subjects.*--folds random:"):
        folds_of(LABELS, subjects, spec)


def test_two_folds_that_leave_one_person_to_train_and_stop_on_are_refused() -> None:
    with pytest.raises(UserError, match="one subject"):
        folds_of(LABELS, [f"person{i % 3}" for i in range(90)], "2")


def test_unknown_subjects_count_as_one_person() -> None:
    with pytest.raises(UserError, match=r"no subject is known \(one unknown person\).*random:5"):
        folds_of(LABELS, NO_SPLIT, "5")


def test_more_random_folds_than_clips_of_any_label_are_refused() -> None:
    with pytest.raises(UserError, match="cannot be cut into 5 parts"):
        folds_of(["a", "b"] * 4, ["x"] * 8, "random:5")


@pytest.mark.parametrize("spec", ["5", "random:5", "split"])
def test_a_single_class_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match="at least 2 classes, the data has a"):
        folds_of(["a"] * 90, SUBJECTS, spec)


def test_a_class_that_only_the_holdout_makes_does_not_count() -> None:
    labels = ["b" if person == "person0" else "a" for person in SUBJECTS]
    with pytest.raises(UserError, match="at least 2 classes"):
        folds_of(labels, SUBJECTS, "5", holdout=["person0"])


def test_a_holdout_that_nobody_is_called_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UserError, match=r"--holdout names nobody, but the data has person0, person1"):
        folds_of(LABELS, SUBJECTS, "5", holdout=["nobody"])
    with pytest.raises(UserError, match="no subjects"):
        folds_of(LABELS, NO_SPLIT, "5", holdout=["nobody"])


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_the_stop_part_leaves_every_class_to_train_on_where_it_can() -> None:
    """A sign that two people alone made must not be tested on the one while the other only picks the epoch."""
    labels = [label for person in range(10) for label in ("a", "b", *(["rare"] if person < 2 else []))]
    subjects = [f"p{person}" for person in range(10) for _ in range(3 if person < 2 else 2)]
    for seed in range(5):
        for fold in folds_of(labels, subjects, "5", seed=seed).folds:
            rest = {labels[i] for i in (*fold.train, *fold.stop)}
            assert {labels[i] for i in fold.train} == rest
