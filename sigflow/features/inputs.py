"""What every feature starts from: a padded batch of raw landmarks; also the inputs of the exported graph."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Inputs(NamedTuple):
    """A batch. NaN: not detected, or beyond the clip's end.

    Attributes:
        parts: (B, T, points, 3) by name of `topology.PARTS`, x and y divided by width and height, y down; also
            `blendshapes` (B, T, 52), `pose_visibility` (B, T, 33) and `raw` (B, T, channels) where features read them.
        time_s: of each frame, from the clip's start.
        aspect: width / height of the video.
        lengths: frames of each clip; at least 1.
    """

    parts: dict[str, Float[Tensor, "B T ..."]]
    time_s: Float[Tensor, "B T"]
    aspect: Float[Tensor, " B"]
    lengths: Int[Tensor, " B"]

    def to(self, device: torch.device) -> "Inputs":
        """The same on `device`."""
        parts = {part: points.to(device) for part, points in self.parts.items()}
        return Inputs(parts, self.time_s.to(device), self.aspect.to(device), self.lengths.to(device))

    def flat(self) -> tuple[Tensor, ...]:
        """The graph's inputs in order: parts, time_s, aspect, lengths."""
        return (*self.parts.values(), self.time_s, self.aspect, self.lengths)


def input_names(parts: Sequence[str]) -> tuple[str, ...]:
    """Names of the graph's inputs, in the order of `Inputs.flat`."""
    return (*parts, "time_s", "aspect", "lengths")


def from_flat(parts: Sequence[str], tensors: Sequence[Tensor]) -> Inputs:
    """The inverse of `Inputs.flat`."""
    count = len(parts)
    return Inputs(dict(zip(parts, tensors[:count], strict=True)), *tensors[count:])
