"""Statistics over a clip's frames and dense layers: the requirement's unified-signs model.

Shape suffixes: B batch, N frames, F features, K classes.
"""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.models.norm import MaskedBatchNorm
from sigflow.models.pooling import masked_mean, valid_frames, zero_others


class MlpConfig(Config):
    """Defaults: Dense 512 -> 256 -> 128 -> K, batch normalisation and dropout 0.4, 0.3, 0.2."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = Field(default=(512, 256, 128), min_length=1)
    dropout: tuple[float, ...] = (0.4, 0.3, 0.2)  # after each hidden layer

    @model_validator(mode="after")
    def _pairs(self) -> "MlpConfig":
        if len(self.dropout) != len(self.hidden):
            raise ValueError("give one dropout per hidden layer")
        if not all(0 <= share < 1 for share in self.dropout):
            raise ValueError("a dropout is at least 0 and less than 1")
        return self


class MlpModel(nn.Module):
    """Mean, std, least and largest of each feature, over the frames in which anything was seen, to logits."""

    def __init__(self, config: MlpConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        sizes = (4 * size_in, *config.hidden)
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(MaskedBatchNorm(size) for size in config.hidden)
        self.dropouts = nn.ModuleList(nn.Dropout(share) for share in config.dropout)
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Logits."""
        x_BF = clip_statistics(x_BNF, valid_frames(x_BNF, lengths_B) & seen_BN)
        for dense, norm, dropout in zip(self.dense, self.norms, self.dropouts, strict=True):
            x_BF = dropout(norm(dense(x_BF)).relu())
        logits: Tensor = self.head(x_BF)
        return logits


def clip_statistics(x_BNF: Float[Tensor, "B N F"], keep_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B 4*F"]:
    """Mean, population std, least and largest number of each feature over the frames that count; 0 without any."""
    mean_BF = masked_mean(x_BNF, keep_BN)
    deviation_BNF = zero_others(x_BNF, keep_BN) - mean_BF[:, None]
    std_BF = masked_mean(deviation_BNF.square(), keep_BN).clamp(min=1e-12).sqrt()
    other_BN1 = ~keep_BN[:, :, None]
    ends = x_BNF.masked_fill(other_BN1, 3e38).amin(1), x_BNF.masked_fill(other_BN1, -3e38).amax(1)
    none_B1 = ~keep_BN.any(1, keepdim=True)
    return torch.cat([part.masked_fill(none_B1, 0.0) for part in (mean_BF, std_BF, *ends)], 1)
