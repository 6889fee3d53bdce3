"""Which frames count, and one vector for a clip from those of its frames.

Shape suffixes: B batch, N frames, F features.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def valid_frames(x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"]) -> Bool[Tensor, "B N"]:
    """True before a clip's end."""
    return torch.arange(x_BNF.shape[1], device=x_BNF.device) < lengths_B[:, None]


def zero_others(x_BNF: Float[Tensor, "B N F"], keep_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N F"]:
    """0 in the frames that do not count, whatever stood there, NaN included."""
    return x_BNF.masked_fill(~keep_BN[:, :, None], 0.0)


def masked_mean(x_BNF: Float[Tensor, "B N F"], keep_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
    """Mean over the frames that count; 0 where there are none."""
    count_B1 = keep_BN.sum(1, keepdim=True).clamp(min=1).to(x_BNF.dtype)
    return zero_others(x_BNF, keep_BN).sum(1) / count_B1


class AttentionPooling(nn.Module):
    """Weighted mean over the frames that count, of which a clip has at least one; a learned score gives the weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.score = nn.Linear(size, 1, bias=False)  # a bias would cancel in the softmax

    def forward(self, x_BNF: Float[Tensor, "B N F"], keep_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B F"]:
        """One vector per clip."""
        x_BNF = zero_others(x_BNF, keep_BN)
        score_BN = self.score(x_BNF).squeeze(2)
        weight_BN = score_BN.masked_fill(~keep_BN, torch.finfo(score_BN.dtype).min).softmax(1)
        return (x_BNF * weight_BN[:, :, None].to(x_BNF.dtype)).sum(1)
