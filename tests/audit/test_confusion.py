"""If these fail, a folder with the wrong name is learnt as it is."""

import numpy as np

from sigflow.data.clips import Clips
from tests.audit.conftest import Find
from tests.audit.spoil import raw_clips, rows_of, with_column


def test_labels_that_one_subject_swapped_are_found(good: Clips, find: Find) -> None:
    names = good.column("label")
    first, second = sorted({str(name) for name in names})[:2]
    for row in rows_of(good, subject="eli"):
        names[row] = {first: second, second: first}.get(str(names[row]), names[row])
    found = find(with_column(good, "label", names), folds="subject")
    assert found["swapped_labels"].severity == "warning"
    assert f"{first} and {second} of eli" in found["swapped_labels"].evidence


def test_one_class_under_two_names_by_different_people_is_confused(find: Find) -> None:
    """Half of the people call both movements a, the others b: by the movement it is the other one."""
    rng = np.random.default_rng(0)
    values = [rng.normal((row % 3) * 3, 1, (30, 4)) for row in range(180)]
    people = [f"person{row // 3 % 6}" for row in range(180)]
    labels = [("a", "b", "c")[row % 3] for row in range(180)]
    assert "confused_classes" not in find(raw_clips(values, labels, people), "any_sequence", folds="6")
    swapped = [
        {"a": "b", "b": "a"}.get(label, label) if who in ("person0", "person1", "person2") else label
        for label, who in zip(labels, people, strict=True)
    ]
    found = find(raw_clips(values, swapped, people), "any_sequence", folds="6")
    assert found["confused_classes"].severity == "warning"
    assert "(a and b: " in found["confused_classes"].evidence


def test_one_movement_under_two_names_is_confused_and_others_are_not_blamed(find: Find) -> None:
    """All clips of d are in truth those of c."""
    rng = np.random.default_rng(0)
    labels = ["a", "b", "c", "c", "c", "d"] * 30
    place = {"a": 0, "b": 3, "c": 6, "d": 6}
    values = [rng.normal(place[label], 0.5, (30, 4)) for label in labels]
    found = find(raw_clips(values, labels, [f"person{row // 6 % 6}" for row in range(180)]), "any_sequence", folds="6")
    assert "(c and d: " in found["confused_classes"].evidence
    assert found["confused_classes"].evidence.count("look like") == 1
