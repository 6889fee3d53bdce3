"""If these fail, training sees clips that no camera could give, or a run cannot be repeated."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from sigflow.data.augment import Augmentation, augment
from sigflow.features.inputs import Inputs

EVERYTHING = Augmentation(
    roll_deg=20,
    yaw_deg=20,
    pitch_deg=20,
    shift_heights=0.1,
    scale=0.3,
    stretch=0.2,
    shear=0.2,
    hand_turn_deg=20,
    hand_shift_palms=0.3,
    mirror=0.5,
    crop_share=0.1,
    drop_frames=0.1,
    warp=0.1,
    speed=0.3,
    time_jitter_steps=0.2,
    noise_sizes=0.02,
    jitter_sizes=0.02,
    raw_scale=0.1,
    mask_share=0.2,
    drop_parts=0.2,
    drop_fingers=0.3,
    drop_landmarks=0.1,
    drop_channels=0.1,
)
STRENGTHS = tuple(Augmentation.model_fields)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a.isnan(), b.isnan()) and torch.equal(a.nan_to_num(), b.nan_to_num())


def alike(a: Inputs, b: Inputs) -> bool:
    return tuple(a.parts) == tuple(b.parts) and all(same(x, y) for x, y in zip(a.flat(), b.flat(), strict=True))


def test_without_any_strength_a_run_trains_on_the_very_same_tensors(clips: Inputs) -> None:
    generator = seeded()
    before = generator.get_state()
    result = augment(clips, Augmentation(), generator)
    assert all(a is b for a, b in zip(result.flat(), clips.flat(), strict=True))
    assert torch.equal(generator.get_state(), before)


def test_every_strength_is_covered_here() -> None:
    assert all(getattr(EVERYTHING, name) > 0 for name in STRENGTHS)


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_strength_by_itself_does_something_and_can_be_repeated(clips: Inputs, name: str) -> None:
    config = Augmentation.model_validate({name: 0.4})
    once, again, other = (augment(clips, config, seeded(seed)) for seed in (1, 1, 2))
    assert alike(once, again)
    assert not alike(once, clips)
    assert not alike(once, other)


@pytest.mark.parametrize("name", [*STRENGTHS, "everything"])
def test_missing_stays_missing_and_padding_stays_padding(clips: Inputs, name: str) -> None:
    config = EVERYTHING if name == "everything" else Augmentation.model_validate({name: 0.4})
    for seed in range(3):
        result = augment(clips, config, seeded(seed))
        beyond = torch.arange(clips.time_s.shape[1]) >= result.lengths[:, None]
        assert (result.lengths >= 1).all()
        assert (result.lengths <= clips.lengths).all()
        assert torch.equal(result.time_s.isnan(), beyond)
        for part, values in result.parts.items():
            assert values.shape == clips.parts[part].shape
            assert values[beyond].isnan().all()
            assert values[5].isnan().all()  # nothing was seen, so nothing is
            assert not values.isinf().any()
            if torch.equal(result.lengths, clips.lengths) and name not in ("mirror", "everything"):
                assert values[clips.parts[part].isnan()].isnan().all()


def test_time_still_rises_with_everything_on(clips: Inputs) -> None:
    strong = EVERYTHING.model_copy(update={"warp": 0.9, "time_jitter_steps": 0.49, "speed": 3.0})
    for seed in range(8):
        steps = augment(clips, strong, seeded(seed)).time_s.diff(dim=1)
        assert (steps[~steps.isnan()] > 0).all()


def test_the_batch_that_came_in_is_left_alone(clips: Inputs) -> None:
    copy = Inputs({part: values.clone() for part, values in clips.parts.items()}, *(t.clone() for t in clips[1:]))
    augment(clips, EVERYTHING, seeded())
    assert alike(clips, copy)


def test_clips_of_one_batch_are_changed_differently(clips: Inputs) -> None:
    twice = Inputs(
        {part: values[:1].repeat(2, *(1,) * (values.ndim - 1)) for part, values in clips.parts.items()},
        clips.time_s[:1].repeat(2, 1), clips.aspect[:2], clips.lengths[:1].repeat(2),
    )  # fmt: skip
    result = augment(twice, EVERYTHING, seeded())
    assert not same(result.parts["pose"][0], result.parts["pose"][1])
    assert not same(result.time_s[0], result.time_s[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gets_the_same_clips(clips: Inputs) -> None:
    device = torch.device("cuda")
    there = Inputs(
        {part: values.to(device) for part, values in clips.parts.items()}, *(t.to(device) for t in clips[1:])
    )
    for a, b in zip(
        augment(clips, EVERYTHING, seeded()).flat(), augment(there, EVERYTHING, seeded()).flat(), strict=True
    ):
        assert torch.allclose(a, b.cpu(), atol=1e-5, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("crop_share", 0.5), ("time_jitter_steps", 0.5), ("mirror", 1.1), ("warp", 1.0), ("scale", -0.1), ("yaw", 3)],
)
def test_a_strength_that_would_spoil_the_clips_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Augmentation.model_validate({name: value})
