"""If these fail, training sees zeros where a detector sees nothing, or loses far more than the recipe says."""

import pytest
import torch
from torch import Tensor

from sigflow.data.augment import Augmentation
from sigflow.data.augment.missing import hide
from sigflow.features.inputs import Inputs


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def full(batch: int = 300, frames: int = 20) -> Inputs:
    """Everything seen in every frame."""
    points = {"left_hand": (21, 3), "right_hand": (21, 3), "pose": (33, 3)}
    sizes: dict[str, tuple[int, ...]] = {**points, "blendshapes": (52,), "pose_visibility": (33,), "raw": (4,)}
    parts = {part: torch.rand(batch, frames, *size, generator=seeded(9)) for part, size in sizes.items()}
    return Inputs(parts, torch.arange(frames).float().repeat(batch, 1), torch.ones(batch), torch.full((batch,), frames))


def pieces(lost_BT: Tensor) -> Tensor:
    """Stretches of True in each clip."""
    return lost_BT.int().diff(dim=1, prepend=torch.zeros(len(lost_BT), 1, dtype=torch.int32)).clamp(min=0).sum(1)


@pytest.mark.parametrize("strength", ["mask_share", "drop_parts", "drop_fingers", "drop_landmarks", "drop_channels"])
def test_what_is_not_lost_stays_as_it_is_and_what_is_lost_is_nan(clips: Inputs, strength: str) -> None:
    result = hide(clips, Augmentation.model_validate({strength: 0.5}), seeded())
    for part, values in result.parts.items():
        there = ~values.isnan()
        assert torch.equal(values[there], clips.parts[part][there])


def test_the_mask_is_one_stretch_of_half_its_share_to_all_of_it_in_all_parts() -> None:
    result = hide(full(), Augmentation(mask_share=0.4), seeded())
    lost = result.parts["raw"].isnan().all(2)
    assert (pieces(lost) == 1).all()
    assert set(lost.sum(1).tolist()) == {4, 5, 6, 7, 8}
    for values in result.parts.values():
        assert torch.equal(values.flatten(2).isnan().any(2), lost)
        assert torch.equal(values.flatten(2).isnan().all(2), lost)


def test_parts_are_lost_as_a_whole_with_what_belongs_to_them_and_never_all() -> None:
    result = hide(full(), Augmentation(drop_parts=0.4), seeded())
    lost = {part: values.flatten(1).isnan().all(1) for part, values in result.parts.items()}
    for part, values in result.parts.items():
        assert torch.equal(values.flatten(1).isnan().any(1), lost[part])
        assert 0.3 < float(lost[part].float().mean()) < 0.5
    assert torch.equal(lost["pose"], lost["pose_visibility"])
    assert not torch.equal(lost["left_hand"], lost["right_hand"])
    assert not torch.stack(list(lost.values())).all(0).any()


def test_the_only_part_that_a_clip_shows_is_never_lost() -> None:
    inputs = full()
    parts = {"left_hand": inputs.parts["left_hand"] * float("nan"), "right_hand": inputs.parts["right_hand"]}
    result = hide(inputs._replace(parts=parts), Augmentation(drop_parts=1), seeded())
    assert torch.equal(result.parts["right_hand"], parts["right_hand"])


def test_a_lost_finger_is_four_points_for_a_stretch() -> None:
    result = hide(full(), Augmentation(drop_fingers=0.5), seeded())
    hand = result.parts["left_hand"].isnan().all(-1)
    assert not hand[:, :, 0].any()  # the wrist is no finger
    fingers = hand[:, :, 1:].unflatten(2, (5, 4))
    assert torch.equal(fingers.all(3), fingers.any(3))
    lost = fingers.all(3)
    assert (lost.any(1).sum(1) <= 1).all()
    assert 0.4 < float(lost.any(2).any(1).float().mean()) < 0.6
    assert (pieces(lost.any(2)) <= 1).all()
    assert set(lost.any(2).sum(1).tolist()) == {0, 2, 3, 4, 5, 6}
    assert (lost.any(1).sum(0) > 10).all()  # any of the five
    assert not result.parts["pose"].isnan().any()


def test_one_landmark_at_a_time_is_lost_in_as_many_frames_as_the_recipe_says() -> None:
    result = hide(full(), Augmentation(drop_landmarks=0.2), seeded())
    for part in ("left_hand", "pose"):
        lost = result.parts[part].isnan()
        assert torch.equal(lost.all(3), lost.any(3))
        count = lost.all(3).sum(2)
        assert int(count.max()) == 1
        assert 0.18 < float(count.float().mean()) < 0.22
        assert (lost.all(3).sum((0, 1)) > 0).all()  # any point
    assert not result.parts["raw"].isnan().any()


def test_channels_are_lost_each_for_a_stretch_of_its_own() -> None:
    lost = hide(full(), Augmentation(drop_channels=0.5), seeded()).parts["raw"].isnan()
    for channel in range(4):
        assert (pieces(lost[:, :, channel]) <= 1).all()
        assert 0.4 < float(lost[:, :, channel].any(1).float().mean()) < 0.6
    assert not torch.equal(lost[:, :, 0], lost[:, :, 1])
