"""Stacked LSTMs in both directions, logits for every frame: the requirement's encoder of continuous signing.

Shape suffixes: B batch, N frames, F features, C numbers of a state, K classes (with per-frame logits, blank included).
"""

from itertools import pairwise
from typing import Literal

from jaxtyping import Bool, Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.models.norm import LayerNorm
from sigflow.models.pooling import AttentionPooling, masked_mean, valid_frames, zero_others
from sigflow.models.recurrent import LSTM


class BilstmConfig(Config):
    """Defaults: BiLSTM 64 -> K, 55,000 parameters with 36 features and 20 glosses: the size that was asked for.

    `projection=128, hidden=(128, 128), norm="layer"` is the earlier system's: with 36 features and 2,001 outputs it has
    its 1,178,961 parameters, in torch's counting.
    """

    kind: Literal["bilstm"] = "bilstm"
    projection: PositiveInt | None = None  # a linear layer in front, of so many outputs
    hidden: tuple[PositiveInt, ...] = Field(default=(64,), min_length=1)  # of each direction
    norm: Literal["none", "layer"] = "none"  # of each frame, before the head
    dropout: float = Field(default=0.5, ge=0, lt=1)  # after each BiLSTM
    per_frame: bool = True  # False: one answer per clip
    pooling: Literal["mean", "attention"] = "attention"  # of the frames, unless `per_frame`


class BilstmModel(nn.Module):
    """Standardised features to logits of each frame, finite but meaningless beyond a clip's length, or of each clip."""

    def __init__(self, config: BilstmConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        first = config.projection or size_in
        self.state_size = size = 2 * config.hidden[-1]
        self.projection = nn.Linear(size_in, first) if config.projection else nn.Identity()
        sizes = (first, *(2 * hidden for hidden in config.hidden))
        self.layers = nn.ModuleList(LSTM(a, b // 2, bidirectional=True) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(config.dropout)
        self.norm = LayerNorm(size) if config.norm == "layer" else nn.Identity()
        self.per_frame = config.per_frame
        pooled = not config.per_frame and config.pooling == "attention"
        self.pooling = AttentionPooling(size) if pooled else None
        self.head = nn.Linear(size, num_classes)

    def forward(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B *frames K"]:
        """Logits (B, N, K), or (B, K) unless `per_frame`."""
        return self.decide(self.frame_states(x_BNF, lengths_B, seen_BN), lengths_B)

    def frame_states(
        self, x_BNF: Float[Tensor, "B N F"], lengths_B: Int[Tensor, " B"], seen_BN: Bool[Tensor, "B N"]
    ) -> Float[Tensor, "B N C"]:
        """What the layers know at each frame of what came before and comes after."""
        x_BNF = self.projection(zero_others(x_BNF, valid_frames(x_BNF, lengths_B)))
        for layer in self.layers:
            x_BNF = self.dropout(layer(x_BNF, lengths_B))
        states_BNC: Tensor = self.norm(x_BNF)
        return states_BNC

    def decide(self, states_BNC: Float[Tensor, "B N C"], lengths_B: Int[Tensor, " B"]) -> Float[Tensor, "B *frames K"]:
        """Logits from the states."""
        if not self.per_frame:
            valid_BN = valid_frames(states_BNC, lengths_B)
            states_BNC = (
                masked_mean(states_BNC, valid_BN) if self.pooling is None else self.pooling(states_BNC, valid_BN)
            )
        logits: Tensor = self.head(states_BNC)
        return logits
