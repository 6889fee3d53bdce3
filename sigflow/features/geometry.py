"""Small steps over frames that may be missing, written with operators that export to ONNX.

Shape suffixes: B batch, T frames, P points, F features.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sigflow.topology import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, WRIST


def seen(points_BTPC: Float[Tensor, "B T P C"]) -> Bool[Tensor, "B T"]:
    """Frames in which the part was detected."""
    return ~points_BTPC[:, :, 0, 0].isnan()


def isotropic(points_BTP3: Float[Tensor, "B T P 3"], aspect_B: Float[Tensor, " B"]) -> Float[Tensor, "B T P 3"]:
    """Image landmarks in units of the frame's height: MediaPipe divides x, and z with it, by the width."""
    scale_B3 = torch.stack([aspect_B, torch.ones_like(aspect_B), aspect_B], -1)
    return points_BTP3 * for_each_point(scale_B3, points_BTP3.shape[2])


def for_each_point(values_B3: Float[Tensor, "B 3"], num_points: int) -> Float[Tensor, "B 1 P 3"]:
    """Repeated and not just broadcast: torch is four times faster on long rows than on rows of three."""
    return values_B3[:, None, None].expand(-1, -1, num_points, -1).contiguous()


def first_seen(ok_BT: Bool[Tensor, "B T"]) -> Int[Tensor, " B"]:
    """Index of the first True; 0 where there is none."""
    return ok_BT.to(torch.int64).argmax(1)


def take_frames(values_BTF: Float[Tensor, "B T F"], frame_BN: Int[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
    """Frames of each clip by number."""
    # Whole rows of all clips at once: a gather along the frames does the same, number by number, ten times as slowly.
    first_B1 = values_BTF.shape[1] * torch.arange(values_BTF.shape[0], device=frame_BN.device)[:, None]
    rows = values_BTF.flatten(0, 1).index_select(0, (first_B1 + frame_BN).flatten())
    return rows.unflatten(0, (frame_BN.shape[0], frame_BN.shape[1]))


def masked_median(values_BT: Float[Tensor, "B T"], ok_BT: Bool[Tensor, "B T"], empty: float) -> Float[Tensor, " B"]:
    """Lower median over the True frames, `empty` where there are none. By sorting: nanmedian has no ONNX converter."""
    big = torch.full_like(values_BT, 3e38)
    ordered = torch.where(ok_BT, values_BT, big).sort(1).values
    count = ok_BT.to(torch.int64).sum(1)
    middle = ordered.gather(1, ((count - 1).clamp(min=0) // 2).unsqueeze(1)).squeeze(1)
    return torch.where(count > 0, middle, torch.full_like(middle, empty))


def palm_size(hand_BTP3: Float[Tensor, "B T P 3"]) -> Float[Tensor, "B T"]:
    """Mean of four distances in the palm, in the units of the landmarks' plane; NaN where the hand is missing.

    Wrist to index, middle and little knuckle, and index to little knuckle: no single one vanishes when the hand turns.
    z is left out, because MediaPipe estimates it far less exactly than x and y.
    """
    plane = hand_BTP3[..., :2]
    pairs = ((WRIST, INDEX_MCP), (WRIST, MIDDLE_MCP), (WRIST, PINKY_MCP), (INDEX_MCP, PINKY_MCP))
    lengths = [((plane[:, :, a] - plane[:, :, b]) ** 2).sum(-1).clamp(min=1e-12).sqrt() for a, b in pairs]
    return torch.stack(lengths, -1).mean(-1)
