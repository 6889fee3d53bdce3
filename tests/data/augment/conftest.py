"""A batch with everything in it: gaps, padding, a clip of one frame, a clip without any detection, wide videos."""

import pytest
import torch

from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS

FRAMES = 24
NAN = float("nan")


@pytest.fixture
def clips() -> Inputs:
    """Six clips of all parts at aspect 1.78: lengths 24, 1, 17, 24, 9, 24; the fourth shows no hand, the last nothing.

    Frame numbers can be read back: `raw` channel 2 counts the frames of every clip from 0.
    """
    generator = torch.Generator().manual_seed(7)
    lengths = torch.tensor([FRAMES, 1, 17, FRAMES, 9, FRAMES])
    batch = len(lengths)
    number = torch.arange(FRAMES)
    beyond = number >= lengths[:, None]
    parts = {}
    for name in ("left_hand", "right_hand", "pose", "face"):
        shape = 0.3 + 0.3 * torch.rand(batch, 1, PARTS[name].num_points, 3, generator=generator)
        path = 0.02 * torch.randn(batch, FRAMES, 1, 3, generator=generator).cumsum(1)
        points = shape + path + 0.005 * torch.randn(batch, FRAMES, PARTS[name].num_points, 3, generator=generator)
        points[0, 5:8] = NAN
        parts[name] = points
    parts["left_hand"][3] = parts["right_hand"][3] = NAN
    parts["face"][:, :, 468:] = NAN
    parts["blendshapes"] = torch.rand(batch, FRAMES, 52, generator=generator)
    parts["pose_visibility"] = torch.rand(batch, FRAMES, 33, generator=generator)
    parts["raw"] = torch.rand(batch, FRAMES, 3, generator=generator)
    parts["raw"][:, :, 2] = number.float()
    parts["raw"][2, 4] = NAN
    for values in parts.values():
        values[5] = NAN
        values[beyond] = NAN
    steps = torch.rand(batch, FRAMES, generator=generator) * 0.03 + 0.02
    time_s = (steps.cumsum(1) - steps[:, :1]).masked_fill(beyond, NAN)
    return Inputs(parts, time_s, torch.full((batch,), 1.78), lengths)
