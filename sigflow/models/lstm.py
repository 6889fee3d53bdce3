"""Stacked LSTMs, the last frame's output, a dense layer: the requirement's isolated-gesture model.

Shape suffixes: B batch, T frames, F features, H hidden, K classes.
"""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float, Int
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.models.recurrent import LSTM


class LstmConfig(Config):
    """Defaults: LSTM 64 -> LSTM 32 -> Dense 32 -> K.

    With 63 features and 3 classes that is 46,339 parameters in Keras' counting; torch's second bias vector in each
    LSTM adds 4 * (64 + 32) = 384.
    """

    kind: Literal["lstm"] = "lstm"
    hidden: tuple[PositiveInt, ...] = Field(default=(64, 32), min_length=1)
    dense: PositiveInt = 32
    dropout: float = Field(default=0.0, ge=0, lt=1)


class LstmModel(nn.Module):
    """(B, T, F) and lengths to logits (B, K). Frames at and beyond a clip's length are never looked at."""

    def __init__(self, config: LstmConfig, size_in: int, num_classes: int) -> None:
        super().__init__()
        sizes = (size_in, *config.hidden)
        self.layers = nn.ModuleList(LSTM(a, b) for a, b in pairwise(sizes))
        self.dropout = nn.Dropout(config.dropout)
        self.dense = nn.Linear(sizes[-1], config.dense)
        self.head = nn.Linear(config.dense, num_classes)
        for linear in (self.dense, self.head):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x_BTF: Float[Tensor, "B T F"], lengths_B: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """Logits."""
        for layer in self.layers:
            x_BTF = self.dropout(layer(x_BTF, lengths_B))
        last_B11 = (lengths_B - 1).clamp(min=0)[:, None, None]
        last_BH = x_BTF.gather(1, last_B11.expand(-1, 1, x_BTF.shape[2])).squeeze(1)
        logits: Tensor = self.head(self.dropout(self.dense(last_BH).relu()))
        return logits
