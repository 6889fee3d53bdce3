"""Clips of any length and frame rate to a fixed number of frames, by true time; gaps filled.

Shape suffixes: B batch, T frames, N new frames, F features, G groups of features that are missing together.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import take_frames

_SAME_TIME_S = 1e-5  # a frame this near to a new time is at it, however the last digit was rounded


class Resampling(Config):
    """To `num_frames` equally spaced times."""

    num_frames: int | None = Field(default=30, ge=1)  # None: the clip's own frames stay, and only gaps are filled
    max_frames: int | None = Field(default=None, ge=2)  # where the data has longer clips: all get this `num_frames`
    max_gap_s: float = Field(default=0.5, ge=0)  # shorter gaps are interpolated, longer ones stay missing
    # From the first frame to the last, or to the last in which something was seen.
    span: Literal["clip", "seen"] = "seen"


def new_times(
    values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"], config: Resampling, groups: Sequence[int]
) -> Float[Tensor, "B N"]:
    """Equally spaced from the first frame of the span to its last; the frames' own times without `num_frames`."""
    if config.num_frames is None:
        return time_s_BT
    within_BT = _seen(values_BTF, groups).any(1) if config.span == "seen" else ~time_s_BT.isnan()
    start_B = torch.where(within_BT, time_s_BT, torch.full_like(time_s_BT, 3e38)).amin(1)
    end_B = torch.where(within_BT, time_s_BT, torch.full_like(time_s_BT, -3e38)).amax(1)
    share_N = torch.arange(config.num_frames, device=time_s_BT.device).to(time_s_BT.dtype)
    span_B = (end_B - start_B).clamp(min=0.0, max=1e9)
    step = 1 / max(config.num_frames - 1, 1)
    return torch.minimum(start_B[:, None] + span_B[:, None] * (share_N * step), end_B[:, None])


def interpolate(
    values_BTF: Float[Tensor, "B T F"],
    time_s_BT: Float[Tensor, "B T"],
    target_BN: Float[Tensor, "B N"],
    max_gap_s: float,
    groups: Sequence[int],
) -> Float[Tensor, "B N F"]:
    """Linear between the frames before and after each new time; NaN where one lacks, or more than the gap is missing.

    `groups` are the sizes of columns that are missing together: a group is missing in a frame with any NaN in it, and
    is interpolated from its own neighbours. Padding is NaN in `time_s_BT` or `values_BTF`. What was seen in one frame
    alone repeats it, if nothing else spans more time.
    """
    from_BGN, to_BGN, there_BGN = _neighbours(_seen(values_BTF, groups), time_s_BT, target_BN)

    def times(number_BGN: Tensor) -> Tensor:
        return time_s_BT.gather(1, number_BGN.flatten(1)).reshape(number_BGN.shape)

    from_s, to_s = times(from_BGN), times(to_BGN)
    gap_BGN = to_s - from_s
    weight_BGN = ((target_BN[:, None] - from_s) / gap_BGN.clamp(min=1e-6)).clamp(0.0, 1.0)
    # A weight that is NaN makes the number NaN.
    usable_BGN = there_BGN & (
        (gap_BGN <= max_gap_s) | (to_BGN - from_BGN <= 1)
    )  # between neighbours nothing is missing
    weight_BGN = torch.where(usable_BGN, weight_BGN, torch.full_like(weight_BGN, float("nan")))
    out = []
    for group, part_BTF in enumerate(values_BTF.split(list(groups), 2)):
        ends = take_frames(part_BTF, from_BGN[:, group]), take_frames(part_BTF, to_BGN[:, group])
        out.append(torch.lerp(*ends, weight_BGN[:, group, :, None]))
    return out[0] if len(out) == 1 else torch.cat(out, -1)


def _seen(values_BTF: Float[Tensor, "B T F"], groups: Sequence[int]) -> Bool[Tensor, "B G T"]:
    # By the sum, which is NaN with any NaN: torch adds floats twenty times as fast as it looks through booleans.
    return torch.stack([~part.sum(-1).isnan() for part in values_BTF.split(list(groups), 2)], 1)


def _neighbours(
    ok_BGT: Bool[Tensor, "B G T"], time_s_BT: Float[Tensor, "B T"], target_BN: Float[Tensor, "B N"]
) -> tuple[Int[Tensor, "B G N"], Int[Tensor, "B G N"], Bool[Tensor, "B G N"]]:
    """Per group: the last seen frame at or before each new time, the first at or after it; whether both exist."""
    frames = ok_BGT.shape[2]
    # Frames at or before, and strictly before, each new time; padding is NaN and never counts.
    until_BN = (time_s_BT[:, None] <= target_BN[:, :, None] + _SAME_TIME_S).sum(2)
    before_BN = (time_s_BT[:, None] < target_BN[:, :, None] - _SAME_TIME_S).sum(2)
    # How many seen frames lie in front of each frame; the number of the k-th seen frame.
    seen_BGT = ok_BGT.to(torch.int64)
    upto_BGT = seen_BGT.cumsum(2)
    number_T = torch.arange(frames, device=ok_BGT.device)
    slot_BGT = torch.where(ok_BGT, upto_BGT - 1, torch.full_like(upto_BGT, frames))
    kth_BGT = torch.zeros_like(torch.cat([upto_BGT, upto_BGT[:, :, :1]], 2)).scatter(
        2, slot_BGT, number_T.expand(slot_BGT.shape)
    )
    groups = ok_BGT.shape[1]

    def count_before(cut_BN: Tensor) -> Tensor:
        """Seen frames among the first `cut` frames."""
        last_BGN = (cut_BN - 1).clamp(min=0)[:, None].expand(-1, groups, -1)
        count_BGN = upto_BGT.gather(2, last_BGN)
        return torch.where(cut_BN[:, None] > 0, count_BGN, torch.zeros_like(count_BGN))

    previous_BGN, next_BGN = count_before(until_BN) - 1, count_before(before_BN)
    there_BGN = (previous_BGN >= 0) & (next_BGN < upto_BGT[:, :, -1:])
    from_BGN = kth_BGT.gather(2, previous_BGN.clamp(min=0))
    to_BGN = kth_BGT.gather(2, next_BGN.clamp(max=frames - 1))
    return from_BGN, to_BGN, there_BGN
