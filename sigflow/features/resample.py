"""Clips of any length and frame rate to a fixed number of frames, by true time.

Shape suffixes: B batch, T frames, N new frames, F features.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import take_frames

_SAME_TIME_S = 1e-5  # a frame this near to a new time is at it, however the last digit was rounded


class Resampling(Config):
    """To `num_frames` equally spaced times."""

    num_frames: int = Field(default=30, ge=1)
    max_gap_s: float = Field(default=0.5, ge=0)  # shorter gaps are interpolated, longer ones stay missing
    span: Literal["clip", "seen"] = (
        "seen"  # from the first frame to the last, or to the last in which something was seen
    )


def resample(
    values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"], config: Resampling
) -> Float[Tensor, "B N F"]:
    """Linear interpolation between the frames before and after each new time; NaN where they lack or are far apart.

    A frame with any NaN counts as missing; padding is NaN in `time_s_BT` or `values_BTF`. A clip that was seen in one
    frame alone repeats that frame.
    """
    frames = values_BTF.shape[1]
    ok_BT = ~values_BTF.isnan().any(-1)
    within_BT = ok_BT if config.span == "seen" else ~time_s_BT.isnan()
    start_B = torch.where(within_BT, time_s_BT, torch.full_like(time_s_BT, 3e38)).amin(1)
    end_B = torch.where(within_BT, time_s_BT, torch.full_like(time_s_BT, -3e38)).amax(1)
    step = 1 / max(config.num_frames - 1, 1)
    share_N = torch.arange(config.num_frames, device=values_BTF.device).to(time_s_BT.dtype) * step
    span_B = (end_B - start_B).clamp(min=0.0, max=1e9)
    target_BN = torch.minimum(start_B[:, None] + span_B[:, None] * share_N, end_B[:, None])

    number_T = torch.arange(frames, device=values_BTF.device)
    before_BNT = ok_BT[:, None] & (time_s_BT[:, None] <= target_BN[:, :, None] + _SAME_TIME_S)
    after_BNT = ok_BT[:, None] & (time_s_BT[:, None] >= target_BN[:, :, None] - _SAME_TIME_S)
    previous_BN = torch.where(before_BNT, number_T, torch.full_like(number_T, -1)).amax(2)
    next_BN = torch.where(after_BNT, number_T, torch.full_like(number_T, frames)).amin(2)
    there_BN = (previous_BN >= 0) & (next_BN < frames)
    previous_BN, next_BN = previous_BN.clamp(min=0), next_BN.clamp(max=frames - 1)

    from_s, to_s = time_s_BT.gather(1, previous_BN), time_s_BT.gather(1, next_BN)
    gap_BN = to_s - from_s
    weight_BN1 = ((target_BN - from_s) / gap_BN.clamp(min=1e-6)).clamp(0.0, 1.0)[:, :, None]
    mixed_BNF = torch.lerp(take_frames(values_BTF, previous_BN), take_frames(values_BTF, next_BN), weight_BN1)
    usable_BN1 = (there_BN & (gap_BN <= config.max_gap_s))[:, :, None]
    return torch.where(usable_BN1, mixed_BNF, torch.full_like(mixed_BNF, float("nan")))
