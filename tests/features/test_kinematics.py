"""If these fail, the same movement looks faster in another video, and what swings is not told from what rests."""

from math import log, pi

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from sigflow.features.inputs import Inputs
from sigflow.features.kinematics import Kinematics, acceleration, kinematics, spectral_energy, velocity
from tests.features.parity import check_parity

NAN = float("nan")
ALL = Kinematics(acceleration=True, spectral_bands_hz=(1.0, 3.0, 6.0))


def even(fps: float, seconds: float = 2.0) -> Tensor:
    """Times (1, T)."""
    return torch.arange(int(seconds * fps) + 1)[None] / fps


def uneven(frames: int, seed: int = 0) -> Tensor:
    """Times (1, T), 5 to 80 ms apart."""
    steps = 0.005 + 0.075 * torch.rand(frames, generator=torch.Generator().manual_seed(seed))
    return steps.cumsum(0)[None]


def swing(time_s: Tensor, hz: float, amplitude: float = 1.0) -> Tensor:
    """(1, T, 1)."""
    return amplitude * (2 * pi * hz * time_s)[:, :, None].sin()


def steady(values: Tensor, lacking: set[int]) -> bool:
    """Whether just these frames of the one clip are missing, in all columns."""
    rows = values[0].isnan()
    return torch.equal(rows.all(1), rows.any(1)) and set(rows.any(1).nonzero().flatten().tolist()) == lacking


@pytest.mark.parametrize("time_s", [even(60), even(15), uneven(40)], ids=["60 fps", "15 fps", "uneven"])
def test_a_steady_movement_has_its_speed_at_any_frame_rate(time_s: Tensor) -> None:
    values = time_s[:, :, None] * torch.tensor([2.5, -0.5, 0.0]) + 7
    expected = torch.tensor([2.5, -0.5, 0.0]).expand_as(values)
    assert torch.allclose(velocity(values, time_s), expected, atol=1e-3)
    assert torch.allclose(acceleration(values, time_s), torch.zeros_like(values), atol=0.1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), pull=st.floats(-10, 10), frames=st.integers(3, 30))
def test_a_thrown_ball_has_its_true_speed_and_pull(seed: int, pull: float, frames: int) -> None:
    time_s = uneven(frames, seed).double()
    values = (0.3 - 2 * time_s + pull / 2 * time_s.square())[:, :, None]
    expected = (pull * time_s - 2)[:, :, None]
    assert torch.allclose(velocity(values, time_s)[:, 1:-1], expected[:, 1:-1], atol=1e-6)
    assert torch.allclose(acceleration(values, time_s), torch.full_like(values, pull), atol=1e-6)


def test_the_first_and_the_last_frame_take_their_only_neighbour() -> None:
    """The clip's ends are not lost: with 0, 1, 4 a second apart by hand."""
    values, time_s = torch.tensor([[[0.0], [1.0], [4.0]]]), torch.tensor([[0.0, 1.0, 2.0]])
    assert velocity(values, time_s).flatten().tolist() == [1.0, 2.0, 3.0]
    assert acceleration(values, time_s).flatten().tolist() == [2.0, 2.0, 2.0]


def test_a_change_across_a_gap_is_missing_and_not_invented() -> None:
    time_s = even(10, seconds=0.8)
    values = time_s[:, :, None].repeat(1, 1, 2)
    values[:, 4] = NAN
    assert steady(velocity(values, time_s), {3, 4, 5})
    assert steady(acceleration(values, time_s), {3, 4, 5})
    values[:, :2] = NAN
    assert steady(velocity(values, time_s), {0, 1, 2, 3, 4, 5})


def test_a_missing_hand_does_not_take_the_other_hand_with_it() -> None:
    time_s = even(10, seconds=0.8)
    values = torch.stack([time_s, time_s], -1)
    values[:, 4, 0] = NAN
    assert velocity(values, time_s)[..., 1].isfinite().all()
    assert spectral_energy(values, time_s, ALL).isfinite().all()


def test_clips_of_one_and_two_frames_are_no_error() -> None:
    for frames in (1, 2):
        values = kinematics(torch.ones(1, frames, 2), even(10)[:, :frames], ALL)
        assert values.shape == (1, frames, ALL.size(2))
        assert not values.isinf().any()
        assert torch.equal(values[..., :2], torch.ones(1, frames, 2))
        assert values[..., 2:4].isnan().all() == (frames == 1)
        assert values[..., 4:6].isnan().all()
        assert torch.equal(values[..., 6:], torch.zeros(1, frames, 3))


def test_two_frames_with_one_time_give_no_infinite_speed() -> None:
    time_s = torch.tensor([[0.0, 0.1, 0.1, 0.2]])
    values = torch.tensor([[[0.0], [1.0], [1.5], [2.0]]])
    assert kinematics(values, time_s, ALL).isfinite().all()


@pytest.mark.parametrize("time_s", [even(25, 4), even(60, 4), uneven(100)], ids=["25 fps", "60 fps", "uneven"])
def test_a_swing_of_3_hz_is_seen_in_its_band_with_its_strength(time_s: Tensor) -> None:
    inside = (time_s[0] > 1) & (time_s[0] < time_s.max() - 1)  # where the window is full
    energy = spectral_energy(swing(time_s, 3.0, 0.8), time_s, ALL)[0, inside]
    assert (energy.argmax(-1) == 1).all()
    expected = log(1 + 0.8**2 / 2 / 1e-3)
    assert energy[:, 1].mean() == pytest.approx(expected, abs=0.15)
    assert (energy[:, 1] - expected).abs().max() < 0.5


def test_other_bands_do_not_hear_it() -> None:
    time_s = even(25, 4)
    energy = spectral_energy(swing(time_s, 3.0), time_s, ALL)[0, 40:60].exp()
    assert (energy[:, 1] > 50 * energy[:, 0]).all()
    assert (energy[:, 1] > 50 * energy[:, 2]).all()


def test_rest_and_steady_movement_swing_in_no_band() -> None:
    time_s = even(25, 4)
    assert spectral_energy(torch.full((1, 101, 2), 5.0), time_s, ALL).abs().max() < 1e-4
    assert spectral_energy(time_s[:, :, None] * 0.5, time_s, ALL)[:, 20:-20].abs().max() < 1e-3


def test_a_swing_is_heard_when_it_happens() -> None:
    time_s = even(25, 6)
    values = torch.where((time_s > 3)[:, :, None], swing(time_s, 3.0), torch.zeros(()))
    energy = spectral_energy(values, time_s, ALL)[0, :, 1]
    assert energy[time_s[0] <= 2].abs().max() < 1e-6
    assert energy[time_s[0] < 2.4].abs().max() < 1e-2
    assert (energy[time_s[0] > 3.6] > 5).all()


def test_a_swing_is_heard_through_lost_frames() -> None:
    time_s = even(30, 4)
    values = swing(time_s, 3.0)
    values[:, torch.rand(121, generator=torch.Generator().manual_seed(0)) < 0.3] = NAN
    energy = spectral_energy(values, time_s, ALL)
    assert torch.equal(energy.isnan().any(-1), values.isnan().any(-1))
    assert (energy[0, 30:90].nan_to_num(0).argmax(-1)[~values[0, 30:90, 0].isnan()] == 1).all()


def test_a_clip_without_detections_is_missing_and_not_an_error() -> None:
    assert kinematics(torch.full((1, 9, 2), NAN), even(10, 0.8), ALL).isnan().all()


def test_padding_and_neighbours_in_the_batch_change_nothing() -> None:
    time_s = uneven(20)
    values = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(1)).cumsum(1)
    values[:, 6] = NAN
    expected = kinematics(values, time_s, ALL)
    padding = torch.full((1, 13, 3), NAN)
    other = torch.randn(1, 33, 3)
    batched = kinematics(
        torch.cat([torch.cat([values, padding], 1), other]),
        torch.cat([torch.cat([time_s, padding[..., 0]], 1), uneven(33, 3)]),
        ALL,
    )
    assert torch.allclose(batched[:1, :20], expected, atol=1e-5, equal_nan=True)
    assert batched[0, 20:].isnan().all()


def test_columns_are_where_the_slices_say() -> None:
    time_s = uneven(20)
    values = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(1))
    for config in (Kinematics(velocity=False), Kinematics(), ALL):
        found = kinematics(values, time_s, config)
        where = config.slices({"left": slice(0, 1), "right": slice(1, 3)})
        assert [column for part in where.values() for column in range(part.start, part.stop)] == list(
            range(config.size(3))
        )
        assert found.shape[2] == config.size(3)
        assert torch.equal(found[..., where["right"]], values[..., 1:])
        if config.velocity:
            assert torch.equal(found[..., where["velocity_right"]], velocity(values, time_s)[..., 1:])
    assert torch.equal(found[..., where["acceleration_left"]], acceleration(values, time_s)[..., :1])
    assert torch.equal(found[..., where["spectral"]], spectral_energy(values, time_s, ALL))


def test_a_window_too_short_for_a_band_is_refused() -> None:
    with pytest.raises(ValidationError, match="raise window_s"):
        Kinematics(spectral_bands_hz=(0.5,))
    Kinematics(spectral_bands_hz=(0.5,), window_s=2.0)


def test_the_exported_graph_computes_the_same() -> None:
    def function(inputs: Inputs) -> Tensor:
        return kinematics(inputs.parts["right_hand"].flatten(2), inputs.time_s, ALL)

    assert check_parity(function, ("right_hand",)) <= 1e-4
