"""Stacked LSTMs, one vector per clip, dense layers: the requirement's isolated-gesture and fall-detection models.

Shape suffixes: B batch, N frames, F features, H hidden, K classes.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.features.geometry import take_frames
from sigflow.models.norm import LayerNorm, MaskedBatchNorm
from sigflow.models.pooling import AttentionPooling, valid_frames, zero_others
from sigflow.models.recurrent import LSTM


class LstmConfig(Config):
    """Defaults: LSTM 64 -> LSTM 32 -> Dense 32 -> K.

    With 63 features and 3 classes that is 46,339 parameters in Keras' counting; torch's second bias vector in each
    LSTM adds 4 * (64 + 32) = 384.
    """

    kind: Literal["lstm"] = "lstm"
    hidden: tuple[PositiveInt, ...] = Field(default=(64, 32), min_length=1)
    dense: PositiveInt | Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = 32  # several: one after the other
    dense_activation: Literal["relu", "linear"] = "relu"
    dropout: float = Field(default=0.0, ge=0, lt=1)  # after each LSTM and each dense layer
    skip_missing: bool = False  # frames in which nothing was seen do not exist for the model, as with Keras' Masking
    pooling: Literal["last", "attention"] = "last"
    norm: Literal["none", "layer", "batch"] = "none"  # of a clip's vector, before the dense layers
    init: Literal["xavier", "he"] = "xavier"  # of the linear layers
    single_logit: bool = False  # two classes from one output z, as [0, z]: the softmax is a sigmoid then


class LstmModel(nn.Module):
    """Standardised features to logits. Frames at and beyond a clip's length are never looked at."""

    def __init__(self, config: LstmConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        if config.single_logit and num_classes != 2:
            raise UserError(f"model.single_logit needs 2 classes, not {num_classes}; set it to false")
        self.config = config
        sizes = (size_in, *config.hidden)
        self.layers = nn.ModuleList(LSTM(a, b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(config.dropout)
        self.pooling = AttentionPooling(sizes[-1]) if config.pooling == "attention" else None
        self.norm = _norm(config.norm, sizes[-1])
        dense = (config.dense,) if isinstance(config.dense, int) else config.dense
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((sizes[-1], *dense)))
        self.head = nn.Linear(dense[-1], 1 if config.single_logit else num_classes)
        for linear in (*self.dense, self.head):
            _initialise(linear, config.init)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B K"]:
        """Logits."""
        if self.config.skip_missing:
            x_BNF, lengths_B = _only_seen(x_BNF, seen_BN)
        valid_BN = valid_frames(x_BNF, lengths_B)
        x_BNF = zero_others(x_BNF, valid_BN)
        for layer in self.layers:
            x_BNF = self.dropout(layer(x_BNF, lengths_B))
        if self.pooling is None:
            x_BH = take_frames(x_BNF, (lengths_B - 1).clamp(min=0)[:, None]).squeeze(1)
        else:
            x_BH = self.pooling(x_BNF, valid_BN)
        x_BH = self.norm(x_BH)
        for dense in self.dense:
            x_BH = dense(x_BH)
            x_BH = self.dropout(x_BH.relu() if self.config.dense_activation == "relu" else x_BH)
        logits: Tensor = self.head(x_BH)
        return torch.cat([torch.zeros_like(logits), logits], 1) if self.config.single_logit else logits


def _only_seen(
    x_BNF: Float[Tensor, "B N F"], seen_BN: Bool[Tensor, "B N"]
) -> tuple[Float[Tensor, "B N F"], Int[Tensor, " B"]]:
    """The frames in which something was seen, in their order, then the others; how many, at least 1.

    A clip in which nothing was seen keeps its first frame, which is all 0.
    """
    upto_BN = seen_BN.to(torch.int64).cumsum(1)
    count_B1 = seen_BN.to(torch.int64).sum(1, keepdim=True)
    number_BN = torch.arange(x_BNF.shape[1], device=x_BNF.device).expand(upto_BN.shape)
    place_BN = torch.where(seen_BN, upto_BN - 1, count_B1 + number_BN - upto_BN)
    order_BN = torch.zeros_like(upto_BN).scatter(1, place_BN, number_BN)
    return take_frames(x_BNF, order_BN), count_B1.squeeze(1).clamp(min=1)


def _norm(kind: Literal["none", "layer", "batch"], size: int) -> nn.Module:
    match kind:
        case "none":
            return nn.Identity()
        case "layer":
            return LayerNorm(size)
        case "batch":
            return MaskedBatchNorm(size)


def _initialise(linear: nn.Module, kind: Literal["xavier", "he"]) -> None:
    assert isinstance(linear, nn.Linear)
    if kind == "xavier":
        nn.init.xavier_uniform_(linear.weight)
    else:
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
