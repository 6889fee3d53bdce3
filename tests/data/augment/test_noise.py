"""If these fail, noise is far stronger or weaker than the recipe says, or lands in frames that do not exist."""

import pytest
import torch

from sigflow.data.augment import Augmentation
from sigflow.data.augment.noise import perturb
from sigflow.data.augment.sizes import part_size
from sigflow.features.geometry import isotropic
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("part", PARTS)
def test_noise_has_its_sigma_in_sizes_of_the_part_on_every_axis_of_a_wide_video(clips: Inputs, part: str) -> None:
    result = perturb(clips, Augmentation(noise_sizes=0.1), seeded())
    noise = (isotropic(result.parts[part], clips.aspect) - isotropic(clips.parts[part], clips.aspect))[0]
    noise = noise / part_size(part, clips.parts[part], clips.aspect)[0]
    for axis in range(3):
        values = noise[..., axis][~noise[..., axis].isnan()]
        assert float(values.std()) == pytest.approx(0.1, rel=0.15)
        assert float(values.mean()) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("part", PARTS)
def test_jitter_moves_a_part_as_a_whole_and_anew_in_each_frame(clips: Inputs, part: str) -> None:
    result = perturb(clips, Augmentation(jitter_sizes=0.3), seeded())
    step = (result.parts[part] - clips.parts[part])[2, :17, :468]
    assert torch.allclose(step, step[:, :1].expand_as(step), atol=1e-6)
    assert (step[1:, 0] != step[:-1, 0]).all()


def test_a_raw_channel_is_disturbed_relative_to_its_own_spread() -> None:
    raw = torch.randn(1, 2000, 3, generator=seeded(1)) * torch.tensor([1.0, 100.0, 0.0]) + 5
    still = Inputs({"raw": raw}, torch.zeros(1, 2000), torch.ones(1), torch.tensor([2000]))
    noise = perturb(still, Augmentation(noise_sizes=0.05), seeded()).parts["raw"] - raw
    assert float(noise[..., 0].std()) == pytest.approx(0.05, rel=0.1)
    assert float(noise[..., 1].std()) == pytest.approx(5, rel=0.1)
    assert (noise[..., 2] == 0).all()  # a channel that never varies stays


def test_a_raw_channel_is_scaled_by_one_factor_in_all_its_frames(clips: Inputs) -> None:
    result = perturb(clips, Augmentation(raw_scale=0.5), seeded())
    ratio = (result.parts["raw"] / clips.parts["raw"])[:4, 1:, :]
    low, high = ratio.nan_to_num(9).amin(1), ratio.nan_to_num(0).amax(1)
    assert torch.allclose(low[[0, 2, 3]], high[[0, 2, 3]], atol=1e-5)
    assert float(low.min()) > 0.66
    assert float(high.max()) <= 1.5001
    assert result.parts["pose"] is clips.parts["pose"]


def test_scores_are_not_disturbed(clips: Inputs) -> None:
    result = perturb(clips, Augmentation(noise_sizes=0.1, jitter_sizes=0.1), seeded())
    assert result.parts["blendshapes"] is clips.parts["blendshapes"]
    assert result.parts["pose_visibility"] is clips.parts["pose_visibility"]
