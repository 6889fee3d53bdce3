"""If these fail, a model is tested on clips that it was trained on, and looks better than it is."""

import numpy as np
import pytest
import torch

from sigflow.audit import audit, make_plan, pairs
from sigflow.audit.pairs import sharing_frames
from sigflow.data.clips import Clips
from sigflow.recipes.catalogue import find_recipe
from tests.audit.conftest import Find
from tests.audit.spoil import raw_clips, rows_of, with_copy, with_landmarks


@pytest.mark.parametrize("skip", [0, 2])
def test_a_copy_under_another_subject_leaks_and_is_one_person_under_two_names(
    good: Clips, find: Find, skip: int
) -> None:
    row = rows_of(good, subject="ada", label="pinch")[0]
    found = find(with_copy(good, row, skip=skip, subject="eli"))
    assert found["copied_clips"].severity == "error"
    assert "1 pair of clips" in found["copied_clips"].evidence
    assert "copy.mp4" in found["copied_clips"].evidence
    assert found["two_subjects"].severity == "warning"
    assert "ada and eli" in found["two_subjects"].evidence
    assert "two_labels" not in found


def test_a_copy_within_one_subject_does_not_leak(good: Clips, find: Find) -> None:
    found = find(with_copy(good, rows_of(good, subject="ada")[0]))
    assert found["copied_clips"].severity == "warning"
    assert "two_subjects" not in found


def test_a_copy_in_the_holdout_leaks(good: Clips) -> None:
    clips = with_copy(good, rows_of(good, subject="ada")[0], subject="eli")
    plan = make_plan(find_recipe("isolated_gestures"), clips, folds_spec="3", holdout=["eli"])
    assert {f.code: f.severity for f in audit(plan)}["copied_clips"] == "error"


def test_one_clip_under_two_labels_is_an_error(good: Clips, find: Find) -> None:
    row = rows_of(good, subject="ada", label="pinch")[0]
    found = find(with_copy(good, row, label="point"))
    assert found["two_labels"].severity == "error"
    assert "(pinch)" in found["two_labels"].evidence
    assert "(point)" in found["two_labels"].evidence


def test_half_a_clip_under_another_subject_is_a_warning(good: Clips, find: Find) -> None:
    row = rows_of(good, subject="ada", label="pinch")[0]
    found = find(with_copy(good, row, skip=10, subject="eli"))
    assert found["similar_clips"].severity == "warning"
    assert "copied_clips" not in found


def test_a_copy_that_was_moved_scaled_and_shaken_a_little_is_found(good: Clips, find: Find) -> None:
    clips = with_copy(good, rows_of(good, subject="ada", label="pinch")[0], subject="eli")
    noise = torch.Generator().manual_seed(0)

    def edited(points: torch.Tensor, _: int) -> torch.Tensor:
        return 0.8 * points + 0.1 + 1e-4 * torch.randn(points.shape, generator=noise)

    found = find(with_landmarks(clips, edited, [len(clips) - 1]))
    assert found["similar_clips"].severity == "warning"
    assert "ada and eli" in found["two_subjects"].evidence
    assert "copied_clips" not in found


def test_frames_that_are_too_many_to_be_sorted_at_once_give_the_same_pairs(
    good: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = with_copy(with_copy(good, 3, subject="eli"), 80, skip=10, subject="bo")
    plan = make_plan(find_recipe("isolated_gestures"), copies, folds_spec="3")
    whole, _ = sharing_frames(plan)
    assert len(whole.rows) == 2
    for most in (1000, 1):  # of six thousand
        monkeypatch.setattr(pairs, "_SORTED", most)
        again, _ = sharing_frames(plan)
        assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_channels_that_rest_or_take_few_values_are_no_copies(find: Find) -> None:
    rng = np.random.default_rng(0)
    values = [(rng.random((40, 2)) < 0.5).astype(float) + row % 2 for row in range(60)]
    values[0][:], values[31][:] = 0.0, 0.0
    found = find(raw_clips(values, ["a", "b"] * 30, [f"person{row % 6}" for row in range(60)]), "any_sequence")
    assert not {"copied_clips", "similar_clips", "two_labels", "two_subjects"} & set(found)


def test_empty_clips_are_no_copies_of_each_other(good: Clips, find: Find) -> None:
    found = find(with_landmarks(good, lambda points, _: torch.full_like(points, torch.nan), range(0, 234, 10)))
    assert not {"copied_clips", "similar_clips", "two_labels"} & set(found)
