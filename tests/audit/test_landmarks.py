"""If these fail, a model is trained on clips in which nobody is seen, or on two cameras that see differently."""

import numpy as np
import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from tests.audit.conftest import Find
from tests.audit.spoil import rows_of, with_column, with_landmarks


@pytest.mark.parametrize(("every", "severity"), [(10, "warning"), (1, "error")])
def test_clips_in_which_nothing_is_seen_are_found(good: Clips, find: Find, every: int, severity: str) -> None:
    rows = [row for row in range(len(good)) if row % every == 0]
    spoilt = with_landmarks(good, lambda points, _: torch.full_like(points, torch.nan), rows)
    found = find(spoilt)
    assert found["empty_clips"].severity == severity
    assert f"{len(rows)} of 234" in found["empty_clips"].evidence


def test_a_class_that_says_nothing_is_signed_may_be_empty(good: Clips, find: Find) -> None:
    rows = rows_of(good, label="pinch")
    spoilt = with_landmarks(good, lambda points, _: torch.full_like(points, torch.nan), rows)
    labels = ["-" if name == "pinch" else name for name in good.column("label")]
    found = find(with_column(spoilt, "label", labels))
    assert {finding.severity for finding in found.values()} <= {"info"}


def test_hands_that_are_seldom_seen_are_found(good: Clips, find: Find) -> None:
    def hide(points: torch.Tensor, _: int) -> torch.Tensor:
        points[len(points) // 3 :] = torch.nan
        return points

    found = find(with_landmarks(good, hide, range(0, len(good), 5)))
    assert found["frames_without_hands"].severity == "warning"
    assert "47 of 234" in found["frames_without_hands"].evidence


def test_pixels_instead_of_shares_of_the_picture_are_an_error(good: Clips, find: Find) -> None:
    found = find(with_landmarks(good, lambda points, _: points * 640, range(len(good))))
    assert found["unscaled_landmarks"].severity == "error"


def test_left_handed_subjects_are_told_and_warned_of_only_where_it_matters(good: Clips, find: Find) -> None:
    found = find(good)
    assert found["left_right_mix"].severity == "info"
    assert "3 of 6 subjects move mainly the left hand (bo, dee, fay)" in found["left_right_mix"].evidence
    right = override(find_recipe("isolated_gestures"), ['frontend.features=[{"kind": "hand", "side": "both"}]'])
    assert find(good, right)["left_right_mix"].severity == "warning"


def test_a_hand_that_changes_within_one_class_of_one_subject_is_told(good: Clips, find: Find) -> None:
    rows = rows_of(good, subject="ada", label="pinch")[:6]
    parts = {part: points.clone() for part, points in good.parts.items()}
    for row in rows:
        frames = slice(int(good.offsets[row]), int(good.offsets[row + 1]))
        parts["left_hand"][frames], parts["right_hand"][frames] = (
            good.parts["right_hand"][frames], good.parts["left_hand"][frames],
        )  # fmt: skip
    found = find(Clips(good.table, good.offsets, good.time_s_S, good.aspect_N, parts))
    assert "pinch by ada: 6 of 13" in found["left_right_mix"].evidence


def test_mixed_frame_rates_matter_only_without_resampling(good: Clips, find: Find) -> None:
    assert find(good)["mixed_fps"].severity == "info"
    assert "15 to 30" in find(good)["mixed_fps"].evidence
    per_frame = override(find_recipe("isolated_gestures"), ["frontend.resampling.num_frames=null"])
    assert find(good, per_frame)["mixed_fps"].severity == "warning"
    assert "mixed_fps" not in find(with_column(good, "fps", [30.0] * len(good)))


def test_mixed_extractors_are_an_error(good: Clips, find: Find) -> None:
    makers = np.array(good.column("extractor"), object)
    makers[:20] = "another"
    assert find(with_column(good, "extractor", makers.tolist()))["mixed_extractors"].severity == "error"


def test_infinite_landmarks_are_an_error(good: Clips, find: Find) -> None:
    def spike(points: torch.Tensor, _: int) -> torch.Tensor:
        points[3, 2, 0] = torch.inf
        return points

    found = find(with_landmarks(good, spike, [7]))
    assert found["infinite_landmarks"].severity == "error"
    assert str(good.column("clip_id")[7]) in found["infinite_landmarks"].evidence
