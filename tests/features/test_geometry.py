"""If these fail, features count missing frames as seen, or measure the palm of a frame that is not there."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.features.geometry import first_seen, isotropic, masked_median, palm_size, seen, take_frames

NAN = float("nan")


def test_a_frame_is_seen_if_its_part_was_detected() -> None:
    points = torch.rand(2, 3, 21, 3)
    points[0, 1] = NAN
    points[1] = NAN
    assert seen(points).tolist() == [[True, False, True], [False, False, False]]


def test_a_square_in_the_world_is_a_square_in_a_wide_video() -> None:
    # One height to the right is 1 / aspect of the width.
    square = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0, 1, 0], [0, 0, 0.5]]).expand(1, 1, 4, 3)
    points = isotropic(square, torch.tensor([2.0]))
    assert torch.equal(points.norm(dim=-1), torch.tensor([[[0.0, 1, 1, 1]]]))


def test_each_clip_of_a_batch_has_its_own_aspect() -> None:
    points = torch.rand(3, 2, 5, 3)
    aspects = torch.tensor([1.0, 0.5, 1.8])
    for i, aspect in enumerate(aspects):
        assert torch.equal(isotropic(points, aspects)[i], isotropic(points[i : i + 1], aspect[None])[0])


def test_the_first_seen_frame_is_found_and_0_stands_for_none() -> None:
    ok = torch.tensor([[False, True, False, True], [True, True, False, False], [False] * 4])
    assert first_seen(ok).tolist() == [1, 0, 0]


def test_frames_are_taken_by_each_clips_own_numbers() -> None:
    values = torch.arange(24.0).reshape(2, 4, 3)
    taken = take_frames(values, torch.tensor([[3, 0], [1, 1]]))
    assert torch.equal(taken, torch.stack([values[0, [3, 0]], values[1, [1, 1]]]))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), min_size=5, max_size=5), min_size=1, max_size=4
    )
)
def test_the_median_of_the_seen_frames_is_torchs_nanmedian(rows: list[list[float | None]]) -> None:
    values = torch.tensor([[NAN if value is None else value for value in row] for row in rows])
    median = masked_median(values, ~values.isnan(), empty=7.0)
    assert torch.equal(median, values.nanmedian(1).values.nan_to_num(7.0))


def test_a_palm_is_as_large_whichever_way_it_turns_in_the_picture() -> None:
    points = torch.rand(1, 1, 21, 3)
    turn = torch.tensor([[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]], dtype=torch.float32)
    turned = torch.cat([points[..., :2] @ turn, points[..., 2:] * 50], -1)  # depth is not to be trusted
    assert torch.allclose(palm_size(turned), palm_size(points))
    assert torch.allclose(palm_size(points * 3), palm_size(points) * 3)


def test_a_missing_hand_has_no_palm() -> None:
    assert palm_size(torch.full((1, 2, 21, 3), NAN)).isnan().all()


def test_a_hand_on_one_spot_has_a_palm_that_can_be_divided_by() -> None:
    assert (palm_size(torch.zeros(1, 1, 21, 3)) > 0).all()
