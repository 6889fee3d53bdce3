"""If these fail, frames come in another order, or a clip's tempo is bent beyond what the recipe says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.data.augment import Augmentation
from sigflow.data.augment.timing import remove_frames, retime
from sigflow.features.inputs import Inputs

NAN = float("nan")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def even(batch: int, frames: int) -> Inputs:
    """Full clips at 25 frames per second whose raw channel counts the frames."""
    number = torch.arange(frames).float().repeat(batch, 1)
    return Inputs({"raw": number[:, :, None]}, number / 25, torch.ones(batch), torch.full((batch,), frames))


@pytest.mark.parametrize(
    "strengths", [{"crop_share": 0.4}, {"drop_frames": 0.5}, {"crop_share": 0.2, "drop_frames": 0.8}]
)
def test_the_frames_that_stay_keep_their_order_content_and_distance_in_time(
    clips: Inputs, strengths: dict[str, float]
) -> None:
    for seed in range(10):
        result = remove_frames(clips, Augmentation.model_validate(strengths), seeded(seed))
        for b in range(5):
            length = int(result.lengths[b])
            number = result.parts["raw"][b, :length, 2]
            if number.isnan().any():  # the frame that is missing in the third clip
                continue
            kept = number.long()
            assert (kept.diff() > 0).all()
            assert torch.equal(result.parts["face"][b, :length].nan_to_num(), clips.parts["face"][b, kept].nan_to_num())
            assert torch.allclose(
                result.time_s[b, :length], clips.time_s[b, kept] - clips.time_s[b, kept[0]], atol=1e-6
            )


def test_cropping_takes_the_ends_alone() -> None:
    clips = even(500, 40)
    result = remove_frames(clips, Augmentation(crop_share=0.25), seeded())
    kept = result.parts["raw"][:, :, 0]
    head, tail = kept[:, 0], 39 - kept.nan_to_num(-1).amax(1)
    assert torch.equal(head + tail, 40.0 - result.lengths)
    assert (kept.diff(dim=1).nan_to_num(1) == 1).all()
    for cut in (head, tail):
        assert cut.min() == 0
        assert cut.max() == 9
        assert 4 < float(cut.mean()) < 5


def test_frames_are_dropped_as_often_as_the_recipe_says() -> None:
    lengths = remove_frames(even(500, 40), Augmentation(drop_frames=0.3), seeded()).lengths
    assert 27 < float(lengths.float().mean()) < 29


@settings(deadline=None, max_examples=20)
@given(frames=st.integers(1, 12), seed=st.integers(0, 99), crop=st.floats(0, 0.4), drop=st.floats(0, 0.9))
def test_no_clip_is_left_empty(frames: int, seed: int, crop: float, drop: float) -> None:
    result = remove_frames(even(20, frames), Augmentation(crop_share=crop, drop_frames=drop), seeded(seed))
    assert (result.lengths >= 1).all()
    assert (result.time_s[:, 0] == 0).all()
    assert torch.equal((~result.time_s.isnan()).sum(1), result.lengths)
    assert torch.equal((~result.parts["raw"].isnan()).sum((1, 2)), result.lengths)


def test_a_warp_keeps_both_ends_and_its_strength_bounds_the_tempo() -> None:
    clips = even(500, 200)
    result = retime(clips, Augmentation(warp=0.3), seeded())
    tempo = result.time_s.diff(dim=1) * 25
    assert float(tempo.max()) <= 1.301
    assert float(tempo.min()) >= 0.699
    assert float(tempo.max()) > 1.2  # and it is used
    assert torch.allclose(result.time_s[:, [0, -1]], clips.time_s[:, [0, -1]], atol=1e-5)
    assert float(tempo.diff(dim=1).abs().max()) < 0.3 * 3 * torch.pi / 199 * 1.1  # smooth


def test_speed_stretches_all_times_by_one_factor_within_its_strength() -> None:
    clips = even(500, 10)
    result = retime(clips, Augmentation(speed=0.5), seeded())
    factor = result.time_s[:, 1:] / clips.time_s[:, 1:]
    assert torch.allclose(factor, factor[:, :1].expand_as(factor), atol=1e-5)
    assert 1.48 < float(factor.max()) <= 1.5001
    assert 0.6666 <= float(factor.min()) < 0.68


def test_jitter_moves_no_frame_past_its_neighbour_and_keeps_the_duration(clips: Inputs) -> None:
    for seed in range(10):
        result = retime(clips, Augmentation(time_jitter_steps=0.49), seeded(seed))
        steps = result.time_s.diff(dim=1)
        assert (steps[~steps.isnan()] > 0).all()
        last = (clips.lengths - 1)[:, None]
        assert torch.equal(result.time_s.gather(1, last), clips.time_s.gather(1, last))
        assert (result.time_s[:, 0] == 0).all()
    moved = retime(even(100, 50), Augmentation(time_jitter_steps=0.2), seeded()).time_s - even(100, 50).time_s
    assert 0.19 / 25 < float(moved.abs().max()) <= 0.2001 / 25


def test_times_alone_change_when_a_clip_is_retimed(clips: Inputs) -> None:
    result = retime(clips, Augmentation(warp=0.3, speed=0.3, time_jitter_steps=0.3), seeded())
    assert result.parts is clips.parts
    assert result.lengths is clips.lengths
