"""Made-up clips to trace and to check a graph with.

Shape suffixes: B batch, T frames, P points.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from sigflow.features.inputs import Inputs


def random_inputs(shapes: Mapping[str, tuple[int, ...]], batch: int, frames: int, rng: np.random.Generator) -> Inputs:
    """Clips of random length up to `frames` with gaps; the first is full length, the last has no detection at all."""
    lengths = rng.integers(1, frames + 1, batch)
    lengths[0] = frames
    beyond = np.arange(frames) >= lengths[:, None]
    points = {}
    for name, shape in shapes.items():
        walk = rng.uniform(0.2, 0.8, (batch, 1, *shape)) + rng.normal(0, 0.02, (batch, frames, *shape)).cumsum(1)
        missing = beyond | (rng.random((batch, frames)) < 0.2)
        missing[-1] |= batch > 1
        walk[missing] = np.nan
        points[name] = torch.from_numpy(walk.astype(np.float32))
    times = np.where(beyond, np.nan, np.cumsum(rng.uniform(0.01, 0.08, (batch, frames)), 1)).astype(np.float32)
    aspect = torch.from_numpy(rng.uniform(0.5, 2.0, batch).astype(np.float32))
    return Inputs(points, torch.from_numpy(times), aspect, torch.from_numpy(lengths))


def padded(inputs: Inputs, extra: int) -> Inputs:
    """The same clips with `extra` more frames of NaN."""

    def pad(tensor: Tensor) -> Tensor:
        filler = torch.full((tensor.shape[0], extra, *tensor.shape[2:]), float("nan"))
        return torch.cat([tensor, filler], 1)

    return Inputs(
        {part: pad(points) for part, points in inputs.parts.items()},
        pad(inputs.time_s),
        inputs.aspect,
        inputs.lengths,
    )
