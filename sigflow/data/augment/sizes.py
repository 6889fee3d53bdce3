"""Lengths to measure changes by.

Shape suffixes: B batch, T frames, P points.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sigflow.features.geometry import isotropic
from sigflow.topology import MIDDLE_MCP, POSE_NAMES, WRIST

# A hand's palm, the pose's shoulders, the face at its widest.
_ENDS = {
    "left_hand": (WRIST, MIDDLE_MCP),
    "right_hand": (WRIST, MIDDLE_MCP),
    "pose": (POSE_NAMES.index("left_shoulder"), POSE_NAMES.index("right_shoulder")),
    "face": (234, 454),
}


def part_size(part: str, points_BTP3: Float[Tensor, "B T P 3"], aspect_B: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Distance between two points in the picture's plane, its mean over the clip, in heights; 0 where never seen."""
    ends_BT23 = isotropic(points_BTP3[:, :, list(_ENDS[part])], aspect_B)
    return (ends_BT23[:, :, 0, :2] - ends_BT23[:, :, 1, :2]).norm(dim=-1).nanmean(1).nan_to_num(0.0)


def per_axis(aspect_B: Float[Tensor, " B"], depth: float = 1.0) -> Float[Tensor, "B 3"]:
    """What x, y and z are multiplied by to become isotropic; `depth`: z by so much more."""
    return torch.stack([aspect_B, torch.ones_like(aspect_B), aspect_B * depth], -1)
