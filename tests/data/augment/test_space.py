"""If these fail, a turned or mirrored clip shows a body that does not hold together, or another sign."""

import pytest
import torch
from torch import Tensor

from sigflow.data.augment import Augmentation
from sigflow.data.augment.space import _DEPTH, mirror, move
from sigflow.errors import UserError
from sigflow.features.geometry import isotropic
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS, POSE_NAMES

LEFT_WRIST, RIGHT_WRIST, NOSE = (POSE_NAMES.index(name) for name in ("left_wrist", "right_wrist", "nose"))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lengths_between(points_BTP3: Tensor, aspect_B: Tensor, dims: int = 3, depth: float = 1.0) -> Tensor:
    """Distances of each point to the next one."""
    true = (isotropic(points_BTP3, aspect_B) * torch.tensor([1, 1, depth]))[..., :dims]
    return (true[:, :, 1:] - true[:, :, :-1]).norm(dim=-1)


@pytest.mark.parametrize(
    "strength", ["roll_deg", "yaw_deg", "pitch_deg", "shift_heights", "hand_shift_palms", "hand_turn_deg"]
)
def test_a_hand_keeps_its_shape_in_a_wide_video(clips: Inputs, strength: str) -> None:
    result = move(clips, Augmentation.model_validate({strength: 0.5 if "_deg" not in strength else 40}), seeded())
    for part in PARTS:
        before = lengths_between(clips.parts[part], clips.aspect, depth=_DEPTH[part])
        after = lengths_between(result.parts[part], clips.aspect, depth=_DEPTH[part])
        assert torch.allclose(before, after, atol=1e-5, equal_nan=True)


def test_roll_turns_the_whole_scene_in_the_picture_by_one_angle(clips: Inputs) -> None:
    result = move(clips, Augmentation(roll_deg=40), seeded())

    def scene(inputs: Inputs) -> Tensor:
        return torch.cat([isotropic(inputs.parts[part], inputs.aspect) for part in PARTS], 2)[:, :, ::7, :2]

    before, after = scene(clips), scene(result)
    for other in (1, 4, 8, 40):  # one point of each part
        old, new = before - before[:, :, [other]], after - after[:, :, [other]]
        assert torch.allclose(old.norm(dim=-1), new.norm(dim=-1), atol=1e-5, equal_nan=True)
    old, new = before[:, :, 1] - before[:, :, 8], after[:, :, 1] - after[:, :, 8]
    cosine = torch.nn.functional.cosine_similarity(old, new, dim=-1)
    for row in cosine:
        seen = row[~row.isnan()]
        assert len(seen) == 0 or float(seen.max() - seen.min()) < 1e-4
    assert torch.allclose(result.parts["pose"][..., 2], clips.parts["pose"][..., 2], atol=1e-5, equal_nan=True)


def test_angles_and_factors_stay_within_their_strength() -> None:
    batch = 400
    points = torch.zeros(batch, 1, 21, 3)
    points[:, :, 1, 0] = 1.0
    points[:, :, 2, 1] = 1.0
    still = Inputs(
        {"right_hand": points}, torch.zeros(batch, 1), torch.ones(batch), torch.ones(batch, dtype=torch.int64)
    )

    def axes(**strengths: float) -> tuple[Tensor, Tensor, Tensor]:
        moved = move(still, Augmentation.model_validate(strengths), seeded()).parts["right_hand"][:, 0]
        return moved[:, 0], moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0]

    _, right, _ = axes(roll_deg=30)
    angle = torch.rad2deg(torch.atan2(right[:, 1], right[:, 0]))
    assert 28 < float(angle.max()) <= 30.01
    assert -30.01 <= float(angle.min()) < -28
    _, right, down = axes(yaw_deg=60)
    assert 0.499 <= float(right[:, 0].min()) < 0.52
    assert torch.allclose(down, torch.tensor([0.0, 1, 0]).expand(batch, 3), atol=1e-6)
    _, right, down = axes(pitch_deg=60)
    assert 0.499 <= float(down[:, 1].min()) < 0.52
    assert torch.allclose(right, torch.tensor([1.0, 0, 0]).expand(batch, 3), atol=1e-6)
    _, right, down = axes(scale=0.25)
    assert 1.24 < float(right[:, 0].max()) <= 1.2501
    assert 0.7999 <= float(right[:, 0].min()) < 0.81
    assert torch.allclose(right[:, 0], down[:, 1])
    _, right, down = axes(stretch=0.25)
    assert 1.24 < float((right[:, 0] / down[:, 1]).max()) <= 1.2501
    assert torch.allclose(right[:, 0] * down[:, 1], torch.ones(batch), atol=1e-5)
    _, _, down = axes(shear=0.25)
    assert 0.24 < float(down[:, 0].abs().max()) <= 0.2501
    where, _, _ = axes(shift_heights=0.1)
    assert 0.098 < float(where[:, :2].abs().max()) <= 0.1001
    assert float(where[:, 2].abs().max()) == 0
    where, _, _ = axes(hand_shift_palms=0.1)
    assert float(where.abs().max()) == 0  # a hand without a size has no palm to move by


def test_a_wide_video_is_shifted_as_far_to_the_side_as_up(clips: Inputs) -> None:
    result = move(clips, Augmentation(shift_heights=0.5), seeded(1))
    step = isotropic(result.parts["pose"], clips.aspect) - isotropic(clips.parts["pose"], clips.aspect)
    assert 0.3 < float(step[~step.isnan()].abs().max()) <= 0.5


def test_a_turned_body_keeps_its_hands_and_face(clips: Inputs) -> None:
    parts = dict(clips.parts)
    parts["left_hand"], parts["right_hand"] = parts["left_hand"].clone(), parts["right_hand"].clone()
    for part, joint in (("left_hand", LEFT_WRIST), ("right_hand", RIGHT_WRIST)):
        parts[part][:, :, 0, :2] = parts["pose"][:, :, joint, :2]
        parts[part][:, :, 0, 2] = 0
    result = move(clips._replace(parts=parts), Augmentation(yaw_deg=40, pitch_deg=40), seeded())
    for part, joint in (("left_hand", LEFT_WRIST), ("right_hand", RIGHT_WRIST)):
        wrist = result.parts[part][:, :, 0]
        assert torch.allclose(wrist[..., :2], result.parts["pose"][:, :, joint, :2], atol=1e-5, equal_nan=True)
        assert float(wrist[..., 2].nan_to_num().abs().max()) < 1e-6  # MediaPipe counts a hand's depth from its wrist


def test_a_frame_without_pose_does_not_tear_the_hand_away(clips: Inputs) -> None:
    pose = clips.parts["pose"].clone()
    pose[:, 10] = float("nan")
    pose[3] = float("nan")
    result = move(clips._replace(parts=clips.parts | {"pose": pose}), Augmentation(yaw_deg=30), seeded())
    hand = result.parts["right_hand"]
    assert torch.equal(hand.isnan(), clips.parts["right_hand"].isnan())
    assert float((hand[0, 10, 0] - hand[0, 9, 0]).abs().max()) < 0.2


def test_both_hands_are_shifted_apart_from_the_body_by_palms(clips: Inputs) -> None:
    result = move(clips, Augmentation(hand_shift_palms=0.5), seeded())
    assert torch.allclose(result.parts["pose"], clips.parts["pose"], atol=1e-6, equal_nan=True)
    steps = [
        (isotropic(result.parts[part], clips.aspect) - isotropic(clips.parts[part], clips.aspect))[0, 0, 0]
        for part in ("left_hand", "right_hand")
    ]
    assert not torch.allclose(steps[0], steps[1], atol=1e-3)
    for part, step in zip(("left_hand", "right_hand"), steps, strict=True):
        palm = isotropic(clips.parts[part], clips.aspect)[0, :, [0, 9], :2].diff(dim=1).norm(dim=-1).nanmean()
        assert 0 < float(step.abs().max()) <= 0.5 * float(palm) + 1e-5


def test_scores_and_raw_channels_are_not_turned(clips: Inputs) -> None:
    result = move(clips, Augmentation(roll_deg=40, yaw_deg=10), seeded())
    for part in ("blendshapes", "pose_visibility", "raw"):
        assert result.parts[part] is clips.parts[part]


def test_the_mirror_of_the_mirror_is_the_clip(clips: Inputs) -> None:
    always = Augmentation(mirror=1)
    twice = mirror(mirror(clips, always, seeded()), always, seeded())
    for part, values in clips.parts.items():
        assert torch.allclose(twice.parts[part], values, atol=1e-6, equal_nan=True)


def test_a_mirror_makes_left_right(clips: Inputs) -> None:
    result = mirror(clips, Augmentation(mirror=1), seeded())
    flip, offset = torch.tensor([-1.0, 1, 1]), torch.tensor([1.0, 0, 0])
    right = clips.parts["right_hand"] * flip + offset
    assert torch.allclose(result.parts["left_hand"], right, atol=1e-6, equal_nan=True)
    left_wrist = clips.parts["pose"][:, :, LEFT_WRIST] * flip + offset
    assert torch.allclose(result.parts["pose"][:, :, RIGHT_WRIST], left_wrist, atol=1e-6, equal_nan=True)
    visible = clips.parts["pose_visibility"][:, :, LEFT_WRIST]
    assert torch.allclose(result.parts["pose_visibility"][:, :, RIGHT_WRIST], visible, equal_nan=True)
    assert torch.allclose(result.parts["blendshapes"][:, :, 9], clips.parts["blendshapes"][:, :, 10], equal_nan=True)
    right_eye = clips.parts["face"][:, :, 33] * flip + offset
    assert torch.allclose(result.parts["face"][:, :, 263], right_eye, atol=1e-6, equal_nan=True)
    assert result.parts["raw"] is clips.parts["raw"]


def test_a_mirror_shows_as_many_clips_as_its_probability(clips: Inputs) -> None:
    many = Inputs({"pose": torch.rand(1000, 1, 33, 3)}, torch.zeros(1000, 1), torch.ones(1000),
                  torch.ones(1000, dtype=torch.int64))  # fmt: skip
    changed = (mirror(many, Augmentation(mirror=0.3), seeded()).parts["pose"] != many.parts["pose"]).flatten(1).any(1)
    assert 240 < int(changed.sum()) < 360


def test_one_hand_alone_cannot_be_mirrored(clips: Inputs) -> None:
    alone = clips._replace(parts={"left_hand": clips.parts["left_hand"]})
    with pytest.raises(UserError, match="both hands"):
        mirror(alone, Augmentation(mirror=0.5), seeded())
    faces = clips._replace(parts={"face": clips.parts["face"]})
    assert mirror(faces, Augmentation(mirror=0.5), seeded()).parts["face"].shape == faces.parts["face"].shape


def test_each_hand_turns_about_its_own_wrist_and_nothing_else_moves(clips: Inputs) -> None:
    result = move(clips, Augmentation(hand_turn_deg=30), seeded())
    angles = []
    for part in ("left_hand", "right_hand"):
        before, after = isotropic(clips.parts[part], clips.aspect), isotropic(result.parts[part], clips.aspect)
        assert torch.allclose(before[:, :, 0], after[:, :, 0], atol=1e-5, equal_nan=True)
        old, new = before[:, :, 9] - before[:, :, 0], after[:, :, 9] - after[:, :, 0]
        angles.append(torch.nn.functional.cosine_similarity(old, new, dim=-1).acos().rad2deg())
    assert torch.allclose(result.parts["pose"], clips.parts["pose"], atol=1e-6, equal_nan=True)
    both = torch.stack(angles)
    assert 5 < float(both.nan_to_num(0).max()) <= 30 * 3
    assert float((both[0] - both[1]).nan_to_num(0).abs().max()) > 1  # each by itself
