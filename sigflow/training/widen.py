"""A trained layer's numbers inside a wider layer's, so that the network says what it said before.

The new units read everything, with the weights that they were initialised with; nothing that was there before reads
them yet: those weights begin at 0, and the first step moves them. Source: the idea of Net2Net, Chen et al. 2016,
arXiv:1511.05641, without its copies, which would stay alike.

Where the old units stand: an axis that grows from a to b, a / b = p / q in lowest terms, is blocks of q of which the
first p are old. So every layer agrees with its neighbours, also where axes are several side by side: the four gates of
an LSTM, both its directions, the parts of a graph.
"""

import math

import torch
from torch import Tensor


def places(old: int, new: int) -> Tensor:
    """Where the units of an axis stand in the wider one, (old,)."""
    common = math.gcd(old, new)
    p, q = old // common, new // common
    unit = torch.arange(old)
    return unit // p * q + unit % p


def can_widen(old: Tensor, new: Tensor) -> bool:
    """Whether no axis gets shorter."""
    return old.ndim == new.ndim and all(a <= b for a, b in zip(old.shape, new.shape, strict=True))


def widen(old: Tensor, new: Tensor) -> None:
    """Write `old` into `new`, in place. The first axis is a layer's outputs, the others what it reads."""
    rows, *columns = (
        places(a, b).to(new.device) if a else torch.arange(0) for a, b in zip(old.shape, new.shape, strict=True)
    )
    new[rows] = 0.0
    new[torch.meshgrid(rows, *columns, indexing="ij")] = old.to(new.device, new.dtype)
