"""If these fail, the same gesture at another frame rate is another gesture, or gaps are filled with inventions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sigflow.features.resample import Resampling, interpolate, new_times

NAN = float("nan")


def ramp(times: Tensor) -> Tensor:
    """(1, T, 2): values that are known at any time."""
    return torch.stack([times, 3 - 2 * times], -1)[None]


def resampled(values: Tensor, times: Tensor, groups: tuple[int, ...] = (), **config: object) -> Tensor:
    resampling, groups = Resampling.model_validate(config), groups or (values.shape[2],)
    return interpolate(values, times, new_times(values, times, resampling, groups), resampling.max_gap_s, groups)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 0.4), min_size=1, max_size=40), st.integers(2, 40))
def test_any_frame_rate_even_a_changing_one_gives_the_values_at_equal_times(steps: list[float], frames: int) -> None:
    times = torch.tensor([0.0, *steps]).cumsum(0)
    out = resampled(ramp(times), times[None], num_frames=frames)
    expected = ramp(torch.linspace(0, float(times[-1]), frames))
    assert torch.allclose(out, expected, atol=1e-4 * float(times[-1].clamp(min=1)))


def test_a_clip_that_needs_no_change_gets_none() -> None:
    times = torch.arange(30) / 30
    values = torch.randn(1, 30, 63)
    assert torch.allclose(resampled(values, times[None]), values, atol=1e-4)


def test_a_late_start_of_the_clock_does_not_matter() -> None:
    times = torch.arange(10) / 8
    assert torch.allclose(resampled(ramp(times), times[None] + 2), resampled(ramp(times), times[None]), atol=1e-5)


def test_short_gaps_are_bridged_and_long_ones_stay_missing() -> None:
    times = torch.arange(17) / 8  # sixteenths are exact in binary: a new time is either a frame's own or in a gap
    values = ramp(times)
    values[0, 3] = NAN  # 0.25 s between its neighbours
    values[0, 8:13, 1] = NAN  # 0.75 s; one missing number makes a frame missing
    out = resampled(values, times[None], num_frames=33, max_gap_s=0.5)[0]
    missing = out.isnan().any(1)
    assert missing.nonzero().flatten().tolist() == list(range(15, 26))  # strictly between frames 7 and 13
    assert torch.equal(out[~missing], ramp(torch.linspace(0, 2, 33))[0][~missing])
    assert not resampled(values, times[None], num_frames=33, max_gap_s=0.75).isnan().any()


def test_time_before_and_after_the_hand_is_cut_away_or_kept_as_missing() -> None:
    times = torch.arange(21) / 10
    values = ramp(times)
    values[0, :5] = values[0, 16:] = NAN
    seen = resampled(values, times[None], num_frames=11)
    assert torch.allclose(seen, ramp(torch.linspace(0.5, 1.5, 11)), atol=1e-5)
    whole = resampled(values, times[None], num_frames=21, span="clip")[0]
    assert whole.isnan().any(1).nonzero().flatten().tolist() == [*range(5), *range(16, 21)]


@pytest.mark.parametrize("span", ["clip", "seen"])
def test_padding_and_neighbours_change_nothing_at_all(span: str) -> None:
    times = torch.rand(2, 12).cumsum(1)
    values = torch.randn(2, 12, 4)
    values[0, 4] = values[1, 0] = NAN
    alone = [resampled(values[i : i + 1], times[i : i + 1], span=span, max_gap_s=2.0)[0] for i in range(2)]
    padded = torch.nn.functional.pad(values, (0, 0, 0, 9), value=NAN)
    both = resampled(padded, torch.nn.functional.pad(times, (0, 9), value=NAN), span=span, max_gap_s=2.0)
    for i in range(2):
        assert torch.equal(both[i].nan_to_num(99.0), alone[i].nan_to_num(99.0))


@pytest.mark.parametrize("frames", [1, 5])
def test_a_hand_seen_in_one_frame_stands_still(frames: int) -> None:
    times = torch.arange(frames)[None] / 25
    values = torch.full((1, frames, 3), NAN)
    values[0, frames // 2] = torch.tensor([1.0, 2, 3])
    assert torch.equal(resampled(values, times, num_frames=4), torch.tensor([1.0, 2, 3]).expand(1, 4, 3))


@pytest.mark.parametrize("span", ["clip", "seen"])
def test_a_clip_without_hands_is_missing_and_not_an_error(span: str) -> None:
    times = torch.stack([torch.arange(6) / 25, torch.full((6,), NAN)])
    assert resampled(torch.full((2, 6, 3), NAN), times, span=span).isnan().all()


def test_one_frame_can_be_asked_for() -> None:
    times = torch.arange(5) / 5
    assert torch.equal(resampled(ramp(times), times[None], num_frames=1), ramp(times[:1]))


def test_columns_that_are_missing_together_are_filled_from_their_own_neighbours() -> None:
    """A hand that is missing must not cost the frames of the other one."""
    times = torch.arange(9) / 8
    values = ramp(times)
    values[0, 3:5, 0] = NAN  # bridged
    values[0, :, 1] = NAN  # never seen
    out = resampled(values, times[None], groups=(1, 1), num_frames=9)[0]
    assert torch.allclose(out[:, 0], times, atol=1e-6)
    assert out[:, 1].isnan().all()


def test_without_a_number_of_frames_only_gaps_are_filled() -> None:
    times = torch.tensor([[0.0, 0.1, 0.3, 0.4, NAN]])
    values = torch.tensor([[[0.0], [NAN], [3.0], [NAN], [NAN]]])
    out = resampled(values, times, num_frames=None)[0, :, 0]
    assert torch.allclose(out[:3], torch.tensor([0.0, 1.0, 3.0]))
    assert out[3:].isnan().all()  # nothing after it; padding


def test_a_slow_video_is_no_gap() -> None:
    """Clips of one frame a second would train on nothing, silently."""
    times = torch.arange(5.0)
    assert torch.allclose(resampled(ramp(times), times[None], num_frames=9), ramp(torch.linspace(0, 4, 9)), atol=1e-5)
