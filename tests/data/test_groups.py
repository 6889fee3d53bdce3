"""If these fail, folds of another seed are the same folds, and a figure on "fresh" ones says nothing new."""

import numpy as np
import pytest

from sigflow.data.groups import draw_parts


def drawn(sizes: list[int], number: int, seed: int) -> list[frozenset[int]]:
    """The subjects of each part; each has `sizes` clips of two classes."""
    subjects = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.arange(len(subjects)) % 2
    parts = draw_parts(labels, subjects, number, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(subjects)))  # every clip in one part
    found = [frozenset(subjects[part].tolist()) for part in parts]
    assert sum(map(len, found)) == len(sizes)  # every subject too
    return found


def test_seeds_differ_also_where_no_two_subjects_are_alike() -> None:
    sizes = [990, 735, 480, 450, 449, 419, 330, 240, 225, 135, 105, 45, 30]
    ways = {frozenset(drawn(sizes, 5, seed)) for seed in range(5)}
    assert len(ways) == 5
    assert drawn(sizes, 5, 3) == drawn(sizes, 5, 3)
    for way in ways:
        clips = [sum(sizes[subject] for subject in part) for part in way]
        assert max(clips) < 2 * sum(sizes) / 5
        assert min(clips) > 0.4 * sum(sizes) / 5


@pytest.mark.parametrize(("people", "number"), [(10, 5), (3, 3), (7, 2)])
def test_equal_subjects_make_equal_parts(people: int, number: int) -> None:
    counts = sorted(len(part) for part in drawn([6] * people, number, 1))
    assert counts[-1] - counts[0] <= 1
    assert counts[0] >= 1


def test_classes_are_spread() -> None:
    """Half of the subjects show one class, half the other: each part gets both."""
    subjects = np.repeat(np.arange(8), 5)
    labels = subjects % 2
    for seed in range(4):
        for part in draw_parts(labels, subjects, 4, seed):
            assert set(labels[part].tolist()) == {0, 1}
