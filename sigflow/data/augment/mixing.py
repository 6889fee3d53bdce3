"""New clips out of two. On features after resampling: before it, clips have different lengths and no common time.

Shape suffixes: B batch, N frames after resampling, F features, K classes.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from sigflow.config import Config


class Mixing(Config):
    """Both off at 0. Near 0 a clip is hardly mixed; at 1 every share is as likely."""

    mixup_alpha: float = Field(default=0.0, ge=0)
    mixup_within_class: bool = False  # mix clips of one label only; targets stay hard
    cutmix_alpha: float = Field(default=0.0, ge=0)


def mix(
    values_BNF: Float[Tensor, "B N F"], target_BK: Float[Tensor, "B K"], config: Mixing, generator: torch.Generator
) -> tuple[Float[Tensor, "B N F"], Float[Tensor, "B K"]]:
    """`mixup` or `cutmix`, as the config says; where both are on, each batch draws one. Off: the very same tensors.

    All clips must have the same number of frames: a shorter one would go on beyond its end with the other's frames.
    """
    draw = float(torch.rand((), generator=generator)) if config.mixup_alpha and config.cutmix_alpha else 0.0
    if config.cutmix_alpha and (draw >= 0.5 or not config.mixup_alpha):
        return cutmix(values_BNF, target_BK, config.cutmix_alpha, generator)
    return mixup(values_BNF, target_BK, config.mixup_alpha, config.mixup_within_class, generator)


def mixup(
    values_BNF: Float[Tensor, "B N F"],
    target_BK: Float[Tensor, "B K"],
    alpha: float,
    within_class: bool,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "B N F"], Float[Tensor, "B K"]]:
    """Each clip times w plus another one times 1 - w, w from Beta(alpha, alpha); targets alike, so they become soft.

    A number that is missing in one of both is taken from the other; missing in both stays missing. (Missing in either
    would leave nothing of a clip of the left hand and one of the right.) `within_class`: the other one has the same
    likeliest class; a clip that is alone in its class stays as it is. alpha 0: off, the very same tensors.
    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization".
    """
    if alpha == 0:
        return values_BNF, target_BK
    order_B = torch.randperm(len(target_BK), generator=generator).to(target_BK.device)
    other_B = _next_of_class(target_BK.argmax(1), order_B) if within_class else order_B
    weight_B = _beta(alpha, len(target_BK), generator).to(target_BK)
    others_BNF = values_BNF[other_B]
    mixed_BNF = torch.lerp(others_BNF, values_BNF, weight_B[:, None, None].to(values_BNF.dtype))
    mixed_BNF = torch.where(values_BNF.isnan(), others_BNF, torch.where(others_BNF.isnan(), values_BNF, mixed_BNF))
    return mixed_BNF, torch.lerp(target_BK[other_B], target_BK, weight_B[:, None])


def cutmix(
    values_BNF: Float[Tensor, "B N F"], target_BK: Float[Tensor, "B K"], alpha: float, generator: torch.Generator
) -> tuple[Float[Tensor, "B N F"], Float[Tensor, "B K"]]:
    """Each clip with a stretch of another one in its place in time; the target mixed by the share of frames.

    The stretch's share is 1 - w, w from Beta(alpha, alpha), rounded to whole frames. It comes as it is: what is
    missing in it is missing in the result. alpha 0: off, the very same tensors.
    Source: Yun et al. 2019, "CutMix", with time in the place of the picture's plane.
    """
    if alpha == 0:
        return values_BNF, target_BK
    batch, frames = values_BNF.shape[:2]
    other_B = torch.randperm(batch, generator=generator).to(target_BK.device)
    num_B = ((1 - _beta(alpha, batch, generator)) * frames).round()
    start_B = (torch.rand(batch, generator=generator) * (frames - num_B + 1)).floor()
    number_N = torch.arange(frames)
    cut_BN = (number_N >= start_B[:, None]) & (number_N < (start_B + num_B)[:, None])
    share_B1 = cut_BN.float().mean(1, keepdim=True).to(target_BK)
    mixed_BNF = torch.where(cut_BN.to(values_BNF.device)[:, :, None], values_BNF[other_B], values_BNF)
    return mixed_BNF, torch.lerp(target_BK, target_BK[other_B], share_B1)


def _beta(alpha: float, count: int, generator: torch.Generator) -> Float[Tensor, " B"]:
    """From Beta(alpha, alpha). By numpy: torch's takes no generator."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count).astype(np.float32))


def _next_of_class(class_B: Int[Tensor, " B"], order_B: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """For each clip the next one of its class in `order_B`; after the last one, the first."""
    grouped_B = order_B[class_B[order_B].argsort(stable=True)]
    class_of_B = class_B[grouped_B]
    number_B = torch.arange(len(class_B), device=class_B.device)
    starts_B = torch.ones_like(number_B, dtype=torch.bool)
    starts_B[1:] = class_of_B[1:] != class_of_B[:-1]
    first_B = torch.where(starts_B, number_B, 0).cummax(0).values
    next_B = torch.where(starts_B.roll(-1), first_B, number_B + 1)
    return torch.empty_like(grouped_B).index_copy(0, grouped_B, grouped_B[next_B])
