"""InceptionTime: convolutions of several lengths side by side, for patterns of several durations.

Source: Fawaz et al. 2020, InceptionTime: finding AlexNet for time series classification.
Shape suffixes: B batch, N frames, F features, C channels, K classes.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from sigflow.config import Config
from sigflow.models.norm import MaskedBatchNorm
from sigflow.models.pooling import masked_mean, valid_frames, zero_others

_RESIDUAL_EVERY = 3


class InceptionConfig(Config):
    """Defaults: the paper's network, with odd kernels (9, 19, 39), which have a middle."""

    kind: Literal["inception"] = "inception"
    depth: PositiveInt = 6
    filters: PositiveInt = 32  # of each branch
    bottleneck: PositiveInt = 32
    kernels: tuple[PositiveInt, ...] = Field(default=(9, 19, 39), min_length=1)  # frames
    dropout: float = Field(default=0.0, ge=0, lt=1)  # before the head

    @model_validator(mode="after")
    def _odd(self) -> "InceptionConfig":
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError("kernels are odd")
        return self


class InceptionModel(nn.Module):
    """Standardised features to logits: blocks with a residual after every third, and the mean over a clip's frames."""

    def __init__(self, config: InceptionConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        size = config.filters * (len(config.kernels) + 1)
        self.blocks = nn.ModuleList(_Block(config, size if block else size_in, size) for block in range(config.depth))
        residuals = config.depth // _RESIDUAL_EVERY
        self.residuals = nn.ModuleList(_Residual(size if i else size_in, size) for i in range(residuals))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(size, num_classes)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Logits."""
        valid_BN = valid_frames(x_BNF, lengths_B)
        x_BNC = before_BNC = zero_others(x_BNF, valid_BN)
        for number, block in enumerate(self.blocks, 1):
            x_BNC = block(x_BNC, valid_BN)
            if number % _RESIDUAL_EVERY == 0:
                residual = self.residuals[number // _RESIDUAL_EVERY - 1]
                x_BNC = before_BNC = residual(x_BNC, before_BNC, valid_BN)
        logits: Tensor = self.head(self.dropout(masked_mean(x_BNC, valid_BN)))
        return logits


class _Block(nn.Module):
    """Convolutions of a narrow copy, and the local maximum; 0 in padding, in and out."""

    def __init__(self, config: InceptionConfig, size_in: int, size: int) -> None:
        super().__init__()
        self.bottleneck = nn.Linear(size_in, config.bottleneck, bias=False)
        self.convs = nn.ModuleList(
            nn.Conv1d(config.bottleneck, config.filters, kernel, padding=kernel // 2, bias=False)
            for kernel in config.kernels
        )
        self.pooled = nn.Linear(size_in, config.filters, bias=False)
        self.norm = MaskedBatchNorm(size)

    def forward(self, x_BNC: Float[Tensor, "B N _C"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
        narrow_BCN = self.bottleneck(x_BNC).transpose(1, 2)
        convolved_BCN = torch.cat([conv(narrow_BCN) for conv in self.convs], 1)
        high_BNC = self.pooled(zero_others(_highest_of_three(x_BNC, valid_BN), valid_BN))
        out_BNC = self.norm(torch.cat([convolved_BCN.transpose(1, 2), high_BNC], 2), valid_BN)
        return zero_others(out_BNC.relu(), valid_BN)


def _highest_of_three(x_BNC: Float[Tensor, "B N C"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, "B N C"]:
    """Maximum of each frame and its neighbours, padding apart; torch's own pooling exports with N frozen."""
    lowest = torch.finfo(x_BNC.dtype).min
    wider_BNC = pad(x_BNC.masked_fill(~valid_BN[:, :, None], lowest), (0, 0, 1, 1), value=lowest)
    return torch.maximum(torch.maximum(wider_BNC[:, :-2], wider_BNC[:, 2:]), wider_BNC[:, 1:-1])


class _Residual(nn.Module):
    def __init__(self, size_in: int, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size_in, size, bias=False)
        self.norm = MaskedBatchNorm(size)

    def forward(
        self, x_BNC: Float[Tensor, "B N C"], before_BNC: Float[Tensor, "B N _C"], valid_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N C"]:
        out_BNC = x_BNC + self.norm(self.linear(before_BNC), valid_BN)
        return zero_others(out_BNC.relu(), valid_BN)
