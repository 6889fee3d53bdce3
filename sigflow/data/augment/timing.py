"""Which frames a clip has, and when they were. The order of frames never changes.

Shape suffixes: B batch, T frames, S all frames of all clips, F numbers of a frame.
"""

import torch
from torch import Tensor

from sigflow.data.augment.config import Augmentation
from sigflow.data.augment.draws import factor, uniform
from sigflow.features.inputs import Inputs


def remove_frames(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Cut off both ends (`crop_share`) and drop single frames (`drop_frames`).

    The frames that stay move up, `lengths` falls, and padding grows by as many: the tensors keep their shapes. A frame
    that a camera lost is no frame; made missing instead, it would break up every difference between neighbours, and a
    cut end would still count for the clip's duration. At least one frame stays; time starts at 0 again.
    """
    if not (config.crop_share or config.drop_frames):
        return inputs
    batch, frames = inputs.time_s.shape
    cut_B2 = uniform(generator, (batch, 2), inputs.aspect, 0.0, config.crop_share) * inputs.lengths[:, None]
    draw_BT = uniform(generator, (batch, frames), inputs.aspect)
    number_T = torch.arange(frames, device=draw_BT.device)
    first_B1, end_B1 = cut_B2.long()[:, :1], inputs.lengths[:, None] - cut_B2.long()[:, 1:]
    draw_BT = draw_BT.masked_fill((number_T < first_B1) | (number_T >= end_B1), -1.0)
    # The largest draw stays in any case, so that no clip is empty.
    keep_BT = (draw_BT >= config.drop_frames) | (draw_BT == draw_BT.amax(1, keepdim=True))

    frame_BT = (~keep_BT).to(torch.uint8).argsort(dim=1, stable=True)
    lengths_B = keep_BT.sum(1)
    beyond_BT = number_T >= lengths_B[:, None]
    row_S = (frame_BT + torch.arange(batch, device=frame_BT.device)[:, None] * frames).flatten()
    gap_BT = torch.where(beyond_BT, float("nan"), 0.0)

    def take(values: Tensor) -> Tensor:
        kept_BTF = values.flatten(0, 1).index_select(0, row_S).view(batch, frames, -1)
        return (kept_BTF + gap_BT[:, :, None]).view(values.shape)

    time_s_BT = take(inputs.time_s)
    return Inputs(
        {part: take(values) for part, values in inputs.parts.items()},
        time_s_BT - time_s_BT[:, :1],
        inputs.aspect,
        lengths_B.to(inputs.lengths.dtype),
    )


def retime(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Move the frames in time: `warp`, `speed`, `time_jitter_steps`. The first frame stays where it was.

    Warp: u + a sin(pi u) / pi + b sin(2 pi u) / 2 pi of the clip's duration, |a| + |b| <= warp. Smooth; the slope stays
    within 1 +- warp, so time keeps rising; both ends stay. Speed: all times by one factor. Jitter: each frame between
    two others moves by less than half of the way to the nearer one, so that none overtakes the next.
    """
    time_s_BT, start_s_B1 = inputs.time_s, inputs.time_s[:, :1]
    batch, frames = time_s_BT.shape
    if config.warp:
        span_s_B1 = time_s_BT.gather(1, inputs.lengths[:, None].long() - 1) - start_s_B1
        u_BT = (time_s_BT - start_s_B1) / span_s_B1.clamp(min=1e-6)
        draw_B3 = uniform(generator, (batch, 3), time_s_BT, -1.0, 1.0) * config.warp
        portion_B1 = (draw_B3[:, 2:] / config.warp + 1) / 2
        bend_BT = draw_B3[:, :1] * portion_B1 * (torch.pi * u_BT).sin() / torch.pi
        wave_BT = draw_B3[:, 1:2] * (1 - portion_B1) * (2 * torch.pi * u_BT).sin() / (2 * torch.pi)
        time_s_BT = time_s_BT + span_s_B1 * (bend_BT + wave_BT)
    if config.speed:
        time_s_BT = start_s_B1 + (time_s_BT - start_s_B1) * factor(generator, (batch, 1), time_s_BT, config.speed)
    if config.time_jitter_steps:
        step_s_BT = time_s_BT.diff(dim=1, prepend=torch.full_like(start_s_B1, float("nan")))
        nearer_s_BT = torch.minimum(step_s_BT, step_s_BT.roll(-1, 1)).nan_to_num(0.0)  # 0 at both ends of the clip
        limit = config.time_jitter_steps
        time_s_BT = time_s_BT + nearer_s_BT * uniform(generator, (batch, frames), time_s_BT, -limit, limit)
    return inputs._replace(time_s=time_s_BT)
