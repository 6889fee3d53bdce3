"""If these fail, a fall looks different from another place, distance or camera, or is not told from standing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sigflow.features.body import BodyFeatures, body_features
from sigflow.features.inputs import Inputs
from sigflow.topology import POSE_NAMES
from tests.features.parity import check_parity

NAN = float("nan")
CONFIG = BodyFeatures()
POSTURE = ("torso_angle", "hip_height", "vertical_speed", "box_aspect", "head_over_feet")
# Of someone who stands, as (to the side, down) from the hips' middle, in torso lengths.
STANDING = {
    "nose": (0.0, -1.4), "ear": (0.15, -1.4), "shoulder": (0.35, -1.0), "hip": (0.2, 0.0), "knee": (0.2, 0.85),
    "ankle": (0.2, 1.7), "wrist": (0.5, 0.0),
}  # fmt: skip


def standing() -> Tensor:
    """(33, 3) around (0, 0), in torso lengths."""
    points = torch.zeros(33, 3)
    for i, name in enumerate(POSE_NAMES):
        side, _, joint = name.rpartition("_")
        across, down = STANDING.get(joint, (0.0, 0.0))
        points[i, 0], points[i, 1] = across if side == "left" else -across, down
    return points


def turned(points: Tensor, degrees: float) -> Tensor:
    """Clockwise around the hips."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = points.unbind(-1)
    return torch.stack([c * x - s * y, s * x + c * y, z], -1)


def inputs_of(points_TP3: Tensor, *, aspect: float = 1.0, fps: float = 25.0, torso: float = 0.2) -> Inputs:
    """A batch of one clip with its hips in the middle of the image; `torso` in heights of the image."""
    pose = points_TP3 * torso / torch.tensor([aspect, 1, aspect]) + 0.5
    frames = len(pose)
    return Inputs(
        {"pose": pose[None]}, torch.arange(frames)[None] / fps, torch.tensor([aspect]), torch.tensor([frames])
    )


def signals(inputs: Inputs) -> dict[str, Tensor]:
    """Of the first clip, (T,) by name."""
    values = body_features(inputs, CONFIG)
    return {name: values[0, :, where].squeeze(-1) for name, where in CONFIG.slices.items()}


def fall(frames: int = 51, seconds: float = 0.8) -> Tensor:
    """(T, 33, 3): stands, turns by 90 degrees while the hips sink by 1.7 torsos within `seconds` of 2, and lies."""
    share = ((torch.linspace(0, 2, frames) - 0.6) / seconds).clamp(0, 1)
    rows = [turned(standing(), 90 * float(part)) + torch.tensor([0, 1.7 * float(part), 0]) for part in share]
    return torch.stack(rows)


def test_someone_who_stands_reads_as_upright_high_and_at_rest() -> None:
    found = signals(inputs_of(standing().expand(5, 33, 3)))
    assert found["torso_angle"].tolist() == pytest.approx([0.0] * 5, abs=1e-5)
    assert found["hip_height"].tolist() == pytest.approx([1.0] * 5, abs=1e-5)
    assert found["vertical_speed"].tolist() == pytest.approx([0.5] * 5, abs=1e-5)
    assert found["box_aspect"].tolist() == pytest.approx([0.7 / (0.7 + 3.1)] * 5, abs=1e-5)
    assert found["head_over_feet"].tolist() == pytest.approx([1.0] * 5, abs=1e-5)
    assert found["presence"].tolist() == [1.0] * 5


@pytest.mark.parametrize("degrees", [90.0, -90.0])
def test_someone_who_lies_to_either_side_reads_as_lying(degrees: float) -> None:
    found = signals(inputs_of(turned(standing(), degrees).expand(3, 33, 3)))
    assert found["torso_angle"].tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert found["hip_height"].tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert found["box_aspect"].tolist() == pytest.approx([3.1 / (0.7 + 3.1)] * 3, abs=1e-5)
    assert found["head_over_feet"].tolist() == pytest.approx([0.0] * 3, abs=1e-5)


@pytest.mark.parametrize(("degrees", "expected"), [(45, 0.5), (-30, 1 / 3), (120, 1.0), (180, 1.0), (-150, 1.0)])
def test_a_lean_counts_in_quarter_turns_and_upside_down_is_not_upright(degrees: float, expected: float) -> None:
    found = signals(inputs_of(turned(standing(), degrees).expand(3, 33, 3)))
    assert found["torso_angle"].tolist() == pytest.approx([expected] * 3, abs=1e-5)


@pytest.mark.parametrize("fps", [15.0, 60.0])
def test_sinking_has_its_speed_at_any_frame_rate(fps: float) -> None:
    time_s = torch.arange(int(fps)) / fps
    for torsos_per_s, expected in ((2.0, 0.75), (-1.0, 0.375), (9.0, 1.0), (-9.0, 0.0)):
        down = torch.zeros(len(time_s), 1, 3)
        down[:, 0, 1] = torsos_per_s * time_s
        speed = signals(inputs_of(standing() + down, fps=fps))["vertical_speed"]
        assert speed.tolist() == pytest.approx([expected] * len(time_s), abs=1e-3)


def test_a_fall_is_told_from_lying_down_by_its_speed_alone() -> None:
    fast, slow = signals(inputs_of(fall(seconds=0.5))), signals(inputs_of(fall(seconds=1.4)))
    assert fast["vertical_speed"].max() > 0.8
    assert slow["vertical_speed"].max() < 0.75
    for name in ("torso_angle", "hip_height", "box_aspect", "head_over_feet"):
        assert float(fast[name][-1]) == pytest.approx(float(slow[name][-1]), abs=1e-5)


@settings(deadline=None, max_examples=15)
@given(
    torso=st.floats(0.03, 0.4),
    right=st.floats(-1, 1),
    down=st.floats(-1, 1),
    aspect=st.sampled_from((0.5625, 1.0, 1.78)),
)
def test_place_distance_and_shape_of_the_video_do_not_matter(
    torso: float, right: float, down: float, aspect: float
) -> None:
    expected = body_features(inputs_of(fall()), CONFIG)
    moved = inputs_of(fall(), torso=torso, aspect=aspect)
    moved.parts["pose"] += torch.tensor([right, down, 0.0])
    assert torch.allclose(body_features(moved, CONFIG), expected, atol=2e-3)


def test_the_height_survives_a_torso_that_is_seen_from_its_end() -> None:
    """A clip that mostly shows someone lying towards the camera: the torso's length comes from the few good frames."""
    lying = standing() * torch.tensor([1.0, 0.2, 1.0])
    found = signals(inputs_of(torch.stack([standing()] * 6 + [lying] * 24)))
    assert found["hip_height"][0] == pytest.approx(1.0, abs=1e-4)
    assert found["hip_height"][-1] == pytest.approx(0.2, abs=1e-4)


def test_waving_arms_are_no_fall() -> None:
    waving = standing()
    waving[[15, 16], 0] = torch.tensor([3.0, -3.0])
    assert torch.equal(
        body_features(inputs_of(waving.expand(3, 33, 3)), CONFIG),
        body_features(inputs_of(standing().expand(3, 33, 3)), CONFIG),
    )


def test_a_lost_person_is_absent_and_not_a_posture() -> None:
    points = fall(20)
    points[[0, 8]] = NAN
    found = signals(inputs_of(points))
    assert found["presence"].isfinite().all()
    assert (found["presence"] == 0).nonzero().flatten().tolist() == [0, 8]
    for name in POSTURE:
        lacking = [0, 1, 7, 8, 9] if name == "vertical_speed" else [0, 8]
        assert found[name].isnan().nonzero().flatten().tolist() == lacking


def test_one_landmark_that_lacks_makes_the_frame_unknown_and_the_person_no_less_present() -> None:
    points = fall(20)
    points[5, POSE_NAMES.index("left_ankle")] = NAN
    points[6, POSE_NAMES.index("left_pinky")] = NAN
    found = signals(inputs_of(points))
    assert (found["presence"] == 1).all()
    assert found["torso_angle"].isnan().nonzero().flatten().tolist() == [5]


def test_a_clip_without_a_person_is_zero_presence_and_nothing_else() -> None:
    found = signals(inputs_of(torch.full((4, 33, 3), NAN)))
    assert found["presence"].tolist() == [0.0] * 4
    assert all(found[name].isnan().all() for name in POSTURE)


def test_one_frame_and_a_person_of_one_point_give_no_infinite_numbers() -> None:
    found = signals(inputs_of(standing()[None]))
    assert [bool(found[name].isnan()) for name in POSTURE] == [False, False, True, False, False]
    for points in (torch.zeros(3, 33, 3), torch.full((3, 33, 3), 1e6)):
        values = body_features(inputs_of(points), CONFIG)
        assert ((values >= 0) & (values <= 1)).all()


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_every_signal_stays_between_0_and_1(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = body_features(inputs_of(2 * torch.randn(6, 33, 3, generator=generator)), CONFIG)
    assert ((values >= 0) & (values <= 1)).all()


def test_padding_and_neighbours_in_the_batch_change_nothing() -> None:
    points = fall(20)
    points[3] = NAN
    alone, other = inputs_of(points), inputs_of(fall(20, 0.3), aspect=1.5, torso=0.1)
    padding = (0, 0, 0, 0, 0, 17)
    padded = Inputs(
        {"pose": torch.nn.functional.pad(torch.cat([alone.parts["pose"], other.parts["pose"]]), padding, value=NAN)},
        torch.nn.functional.pad(torch.cat([alone.time_s, other.time_s]), (0, 17), value=NAN),
        torch.cat([alone.aspect, other.aspect]),
        torch.cat([alone.lengths, other.lengths]),
    )
    values = body_features(padded, CONFIG)
    for row, one in enumerate((alone, other)):
        assert torch.allclose(values[row, :20], body_features(one, CONFIG)[0], atol=1e-5, equal_nan=True)
    assert values[:, 20:].isnan().all()


def test_the_slices_name_each_column_once() -> None:
    values = body_features(inputs_of(standing()[None]), CONFIG)
    assert values.shape[2] == CONFIG.size == 6
    assert list(CONFIG.slices.values()) == [slice(i, i + 1) for i in range(6)]
    assert CONFIG.parts == ("pose",)


def test_the_exported_graph_computes_the_same() -> None:
    assert check_parity(lambda inputs: body_features(inputs, CONFIG), CONFIG.parts) <= 1e-4
