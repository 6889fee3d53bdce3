"""If these fail, a signer who stands elsewhere or turned signs something else, or a number is not what it says."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sigflow.features.hand import HandFeatures, hand_features
from sigflow.features.inputs import Inputs
from sigflow.features.phonology import PhonologyFeatures, phonology_features
from sigflow.topology import POSE_NAMES
from tests.features.parity import check_parity

NAN = float("nan")
FRAMES = 9
CONFIG = PhonologyFeatures()
SIDES = ("left", "right")
WRISTS = {side: POSE_NAMES.index(f"{side}_wrist") for side in SIDES}
STRAIGHT = ((0.0, 0.0, 0.0),) * 5


def turned(axis: str, degrees: float) -> Tensor:
    """(3, 3), for rows of points."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = torch.eye(3, dtype=torch.float64)
    turn[i, i] = turn[j, j] = c
    turn[i, j], turn[j, i] = s, -s
    return turn


def right_hand(fan: tuple[float, ...] = (60, 10, 0, -8, -16), bend: tuple[tuple[float, ...], ...] = STRAIGHT) -> Tensor:
    """(21, 3), fingers up, palm to the camera; bones in a line from the wrist, unless bent.

    `fan`: angle of each finger to the vertical, positive to the thumb's side; `bend`: of its joints; all in degrees.
    """
    points = [torch.zeros(3)]
    for aside, joints in zip(fan, bend, strict=True):
        point, angle = torch.zeros(3), 0.0
        for length, joint in zip((0.1, 0.05, 0.03, 0.02), (0.0, *joints), strict=True):
            angle += math.radians(joint)
            flat = length * math.cos(angle)
            across, along = math.sin(math.radians(aside)), math.cos(math.radians(aside))
            point = point + torch.tensor([flat * across, -flat * along, -length * math.sin(angle)])
            points.append(point)
    return torch.stack(points)


def body() -> Tensor:
    """(33, 3): upright, faces the camera; shoulders 0.4 apart, (0.5, 0.6, 0) between them. The rest is random."""
    pose = torch.rand(33, 3, generator=torch.Generator().manual_seed(0))
    for name, point in {
        "left_shoulder": (0.7, 0.6, 0.0), "right_shoulder": (0.3, 0.6, 0.0), "left_ear": (0.58, 0.3, 0.0),
        "right_ear": (0.42, 0.3, 0.0), "left_wrist": (0.8, 0.8, -0.2), "right_wrist": (0.2, 0.8, -0.2),
    }.items():  # fmt: skip
        pose[POSE_NAMES.index(name)] = torch.tensor(point)
    return pose


Scene = dict[str, Tensor]  # by part, (T, P, 3), all in one 3-D space


def still(hand: Tensor, frames: int = FRAMES) -> Scene:
    """A signer at rest, who holds a right hand like `hand`, and a mirrored left one."""
    pose = body()
    left = hand * torch.tensor([-1.0, 1, 1])
    scene = {"left_hand": left + pose[WRISTS["left"]], "right_hand": hand + pose[WRISTS["right"]], "pose": pose}
    return {part: points.expand(frames, -1, -1) for part, points in scene.items()}


def wild(seed: int) -> Scene:
    """Hands and body of any shape that move anyhow, in double precision: rounding is not what is tested with them."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    pose = body().double() + 0.02 * noise(FRAMES, 33, 3)
    hands = {f"{side}_hand": 0.05 * noise(FRAMES, 21, 3) for side in SIDES}
    for side, wrist in WRISTS.items():
        pose[:, wrist] += 0.1 * noise(FRAMES, 3).cumsum(0)
        hands[f"{side}_hand"][:, 0] = 0
        hands[f"{side}_hand"] += pose[:, wrist, None]
    return {**hands, "pose": pose}


def filmed(scene: Scene, aspect: float = 1.0) -> Inputs:
    """As MediaPipe gives it: x and z divided by the width, a hand's z from its wrist, the pose's from the hips."""
    parts = {}
    for part, points in scene.items():
        origin = points[:, 23:25].mean(1, keepdim=True) if part == "pose" else points[:, :1]
        points = torch.cat([points[..., :2], points[..., 2:] - origin[..., 2:]], -1)
        parts[part] = (points / torch.tensor([aspect, 1, aspect]))[None]
    dtype, frames = scene["pose"].dtype, len(scene["pose"])
    time_s = torch.arange(frames, dtype=dtype)[None] / 25
    return Inputs(parts, time_s, torch.tensor([aspect], dtype=dtype), torch.tensor([frames]))


def features(inputs: Inputs) -> Tensor:
    return phonology_features(inputs, CONFIG)


def columns(scene: Scene) -> dict[str, Tensor]:
    """(T, columns) by slice."""
    values = features(filmed(scene))[0]
    return {name: values[:, where] for name, where in CONFIG.slices.items()}


def is_close(values: Tensor, expected: tuple[float, ...]) -> bool:
    return torch.allclose(values, torch.tensor(expected, dtype=values.dtype).expand_as(values), atol=1e-5)


angles = st.floats(-180, 180)
shifts = st.floats(-2, 2)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 1000), st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts), st.floats(0.2, 5),
    st.floats(0.5, 2), st.floats(0.5, 2),
)  # fmt: skip
def test_a_signer_who_is_turned_moved_or_scaled_in_space_signs_the_same(
    seed: int,
    turn: tuple[float, float, float],
    shift: tuple[float, float, float],
    scale: float,
    aspect: float,
    other_aspect: float,
) -> None:
    scene = wild(seed)
    rotation = turned("x", turn[0]) @ turned("y", turn[1]) @ turned("z", turn[2])
    moved = {part: scale * points @ rotation + torch.tensor(shift) for part, points in scene.items()}
    expected = features(filmed(scene, aspect))
    assert expected.isfinite().all()
    assert torch.allclose(features(filmed(moved, other_aspect)), expected, atol=1e-4, rtol=0)


def test_features_of_the_cameras_frame_change_when_the_signer_turns() -> None:
    """Else the property above would be worth nothing."""
    scene = {part: points.float() for part, points in wild(0).items()}
    aside = {part: points @ turned("y", 30).float() for part, points in scene.items()}
    before, after = (hand_features(filmed(each), HandFeatures(side="right")) for each in (scene, aside))
    assert (before - after).abs().mean() > 0.2
    assert torch.allclose(features(filmed(scene)), features(filmed(aside)), atol=1e-3)


def test_straight_fingers_have_no_flexion_and_their_spread_is_the_sine_of_the_angle() -> None:
    values = columns(still(right_hand(fan=(60, 10, 0, -8, -16))))
    spread = tuple(math.sin(math.radians(angle)) for angle in (50, 10, 8, 8))
    for side in SIDES:
        assert is_close(values[f"{side}_flexion"], (0, 0, 0, 0, 0))
        assert is_close(values[f"{side}_spread"], spread)


def test_a_joint_at_a_right_angle_counts_one_whichever_it_is() -> None:
    bend = ((0.0, 90, 0), (90.0, 0, 0), (0.0, 0, 90), (90.0, 90, 90), (60.0, 0, 0))
    values = columns(still(right_hand(bend=bend)))
    for side in SIDES:
        assert is_close(values[f"{side}_flexion"], (1, 1, 1, 3, 0.5))


def test_crossed_fingers_have_a_negative_spread_and_a_bent_neighbour_does_not_look_spread() -> None:
    bend = (STRAIGHT[0], (0.0, 50, 0), (0.0, 60, 0), (0.0, 70, 0), (0.0, 80, 0))
    crossed = columns(still(right_hand(fan=(60, -5, 5, -8, -16), bend=bend)))
    bent = columns(still(right_hand(fan=(60, 0, 0, 0, 0), bend=(*STRAIGHT[:2], (70, 0, 0), *STRAIGHT[3:]))))
    for side in SIDES:
        assert is_close(crossed[f"{side}_spread"][:, 1], (-math.sin(math.radians(10)),))
        assert is_close(bent[f"{side}_spread"][:, 1:], (0, 0, 0))


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (turned("x", 0), (0, 0, 1)),
        (turned("x", -90), (0, 1, 0)),
        (turned("x", 180), (0, 0, -1)),
        (turned("x", 90), (0, -1, 0)),
        (turned("y", 90), (1, 0, 0)),
        (turned("y", -90), (-1, 0, 0)),
    ],
    ids=["forward", "up", "back", "down", "outward", "inward"],
)
def test_the_palm_faces_where_the_columns_say(turn: Tensor, expected: tuple[float, ...]) -> None:
    values = columns(still(right_hand() @ turn.float()))
    for side in SIDES:
        assert is_close(values[f"{side}_orientation"], expected)


def test_location_counts_shoulder_widths_from_between_the_shoulders_even_if_the_head_leans_aside() -> None:
    scene = {part: points.clone() for part, points in still(right_hand()).items()}
    scene["pose"][:, 7:9, 0] += 0.1  # the ears
    values = columns(scene)
    for side in SIDES:
        assert is_close(values[f"{side}_location"], (0.3 / 0.4, -0.2 / 0.4, 0.2 / 0.4))
        assert is_close(values[f"{side}_movement"], (0, 0, 0))


def test_movement_is_per_second_since_the_last_frame_with_a_pose_and_0_in_the_first() -> None:
    scene = still(right_hand())
    pose = scene["pose"].clone()
    pose[:, WRISTS["right"]] += torch.arange(FRAMES)[:, None] * torch.tensor([-0.02, 0, 0.04])
    pose[[0, 4, 5]] = NAN
    values = columns({**scene, "pose": pose})
    assert is_close(values["right_movement"][[2, 3, 6, 7, 8]], (0.02 / 0.4 * 25, 0, -0.04 / 0.4 * 25))
    assert is_close(values["right_movement"][1], (0, 0, 0))
    assert values["right_movement"][[0, 4, 5]].isnan().all()
    assert is_close(values["left_movement"][[1, 2, 3, 6, 7, 8]], (0, 0, 0))


def test_a_signer_who_walks_or_comes_nearer_does_not_move_the_hands() -> None:
    walk = torch.arange(FRAMES)[:, None, None] * torch.tensor([0.05, 0.01, 0.02])
    values = columns({part: points + walk for part, points in still(right_hand()).items()})
    for side in SIDES:
        assert torch.allclose(values[f"{side}_movement"], torch.zeros(FRAMES, 3), atol=1e-3)


def mirrored(scene: Scene) -> Scene:
    swap = [POSE_NAMES.index(_other_side(name)) for name in POSE_NAMES]
    mirror = torch.tensor([-1.0, 1, 1])
    swapped = {"left_hand": scene["right_hand"], "right_hand": scene["left_hand"], "pose": scene["pose"][:, swap]}
    return {part: points * mirror for part, points in swapped.items()}


def test_a_left_handed_signer_has_the_same_numbers_in_the_other_columns() -> None:
    scene = {part: points.float() for part, points in wild(1).items()}
    left, right = features(filmed(scene)).split(18, 2)
    assert torch.allclose(features(filmed(mirrored(scene))), torch.cat([right, left], 2), atol=1e-3)


DOMINANT = PhonologyFeatures(first="dominant", groups=("flexion", "place"))


def test_with_the_dominant_hand_first_it_does_not_matter_which_hand_that_is() -> None:
    scene = {part: points.float() for part, points in wild(1).items()}
    scene["right_hand"] = scene["right_hand"][:1].expand(FRAMES, -1, -1)  # the left one moves more
    numbers = phonology_features(filmed(scene), DOMINANT)
    assert torch.allclose(phonology_features(filmed(mirrored(scene)), DOMINANT), numbers, atol=1e-3)
    sides = PhonologyFeatures(groups=DOMINANT.groups)
    assert torch.allclose(phonology_features(filmed(scene), sides), numbers, atol=1e-5)
    assert list(DOMINANT.slices) == ["dominant_flexion", "dominant_place", "other_flexion", "other_place"]


def test_place_counts_shoulder_widths_in_the_picture() -> None:
    scene = still(right_hand())
    shoulders = scene["pose"][0, [POSE_NAMES.index(f"{side}_shoulder") for side in SIDES]]
    width = float((shoulders[0] - shoulders[1])[:2].norm())
    wrist = shoulders.mean(0) + torch.tensor([-1.5 * width, -0.5 * width, 0.3])  # the camera sees the right hand left
    scene["right_hand"] = scene["right_hand"] - scene["right_hand"][:, :1] + wrist
    config = PhonologyFeatures(groups=("place",))
    values = phonology_features(filmed(scene, aspect=1.5), config)[0, :, config.slices["right_place"]]
    assert torch.allclose(values, torch.tensor([1.5, 0.5]).expand_as(values), atol=1e-4)


@pytest.mark.slow
def test_the_variants_serve_the_numbers_of_training() -> None:
    check_parity(lambda inputs: phonology_features(inputs, DOMINANT), DOMINANT.parts)


def _other_side(name: str) -> str:
    return name.replace("left", "*").replace("right", "left").replace("*", "right")


def missing(scene: Scene) -> set[str]:
    """Slices without any number; each of the others must be complete."""
    values = columns(scene)
    empty = {name for name, group in values.items() if group.isnan().all()}
    assert all(group.isfinite().all() for name, group in values.items() if name not in empty)
    return empty


def test_what_a_missing_detection_takes_with_it() -> None:
    scene = still(right_hand())
    lost = {part: {**scene, part: torch.full_like(scene[part], NAN)} for part in scene}
    assert missing(scene) == set()
    assert missing(lost["left_hand"]) == {"left_flexion", "left_spread", "left_orientation"}
    in_body = {f"{side}_{name}" for side in SIDES for name in ("orientation", "location", "movement")}
    assert missing(lost["pose"]) == in_body


def test_a_single_missing_point_makes_its_whole_slice_missing() -> None:
    scene = {part: points.clone() for part, points in still(right_hand()).items()}
    scene["right_hand"][:, 8] = NAN
    scene["pose"][:, WRISTS["left"]] = NAN
    assert missing(scene) == {"right_flexion", "left_location", "left_movement"}


def test_a_clip_without_any_detection_is_missing_and_a_body_on_one_spot_is_finite() -> None:
    nothing = {part: torch.full_like(points, NAN) for part, points in still(right_hand()).items()}
    assert features(filmed(nothing)).isnan().all()
    assert features(filmed({part: torch.full_like(points, 0.5) for part, points in nothing.items()})).isfinite().all()


def test_padding_and_neighbours_in_the_batch_change_nothing() -> None:
    first, second = (filmed({k: v.float() for k, v in wild(seed).items()}, 1.0 + seed) for seed in (0, 1))
    first.parts["pose"][0, [0, 4]] = NAN

    def pad(a: Tensor, b: Tensor) -> Tensor:
        both = torch.cat([a, b])
        return torch.cat([both, torch.full((2, 13, *both.shape[2:]), NAN)], 1)

    padded = Inputs(
        {part: pad(first.parts[part], second.parts[part]) for part in first.parts},
        pad(first.time_s, second.time_s),
        torch.cat([first.aspect, second.aspect]),
        torch.cat([first.lengths, second.lengths]),
    )
    values = features(padded)
    assert values[:, FRAMES:].isnan().all()
    for i, alone in enumerate((first, second)):
        assert torch.allclose(values[i, :FRAMES], features(alone)[0], atol=1e-5, equal_nan=True)


def test_a_clip_of_one_frame_has_all_features() -> None:
    assert features(filmed(still(right_hand(), frames=1))).isfinite().all()


def test_the_slices_are_the_columns_in_order() -> None:
    places = [i for where in CONFIG.slices.values() for i in range(where.start, where.stop)]
    assert places == list(range(CONFIG.size)) == list(range(36))
    assert features(filmed(still(right_hand()))).shape == (1, FRAMES, CONFIG.size)


def test_the_served_graph_gives_the_numbers_of_training() -> None:
    # As a model sees them: movement, a small difference over a short time, is divided by its size in real clips.
    std = torch.ones(CONFIG.size)
    for side in SIDES:
        std[CONFIG.slices[f"{side}_movement"]] = 4.0
    assert check_parity(lambda inputs: features(inputs) / std, CONFIG.parts) <= 1e-4
