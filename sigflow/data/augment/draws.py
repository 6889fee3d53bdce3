"""Random numbers, drawn on the CPU and moved: every device gets the same.

Shape suffixes: B batch, T frames, K stretches of a clip.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sigflow.features.inputs import Inputs


def uniform(
    generator: torch.Generator, shape: tuple[int, ...], like: Tensor, low: float = 0.0, high: float = 1.0
) -> Float[Tensor, "..."]:
    """Even in [low, high), with the device and dtype of `like`."""
    return torch.rand(shape, generator=generator).mul_(high - low).add_(low).to(like)


def factor(generator: torch.Generator, shape: tuple[int, ...], like: Tensor, strength: float) -> Float[Tensor, "..."]:
    """Between 1 / (1 + strength) and 1 + strength, even in the logarithm."""
    limit = math.log1p(strength)
    return uniform(generator, shape, like, -limit, limit).exp_()


def normal(generator: torch.Generator, shape: tuple[int, ...], like: Tensor) -> Float[Tensor, "..."]:
    """Standard normal, with the device and dtype of `like`."""
    return torch.randn(shape, generator=generator).to(like)


def stretches(
    generator: torch.Generator, inputs: Inputs, count: int, low: float, high: float
) -> Bool[Tensor, "B T _K"]:
    """`count` stretches of each clip, True within: `low` to `high` of its length, rounded, anywhere in the clip."""
    length_B1 = inputs.lengths[:, None].to(inputs.aspect)
    shape = (len(length_B1), count)
    num_BK = (uniform(generator, shape, inputs.aspect, low, high) * length_B1).round()
    start_BK = (uniform(generator, shape, inputs.aspect) * (length_B1 - num_BK + 1)).floor()
    number_T1 = torch.arange(inputs.time_s.shape[1], device=num_BK.device)[:, None]
    return (number_T1 >= start_BK[:, None]) & (number_T1 < (start_BK + num_BK)[:, None])
