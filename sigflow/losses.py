"""Losses: logits and targets to one number per clip, not averaged."""

from typing import Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from sigflow.config import Config


class CrossEntropy(Config):
    """Softmax cross-entropy. `smoothing` spreads that share of the target over all classes (Szegedy et al. 2016)."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: bool = False  # n / (classes * count), by the class's own index


def cross_entropy(
    logits_BK: Float[Tensor, "B K"],
    target_BK: Float[Tensor, "B K"],
    config: CrossEntropy,
    weight_K: Float[Tensor, " K"] | None,
) -> Float[Tensor, " B"]:
    """Loss per clip; targets are shares that add up to 1. With weights, each class's term is multiplied by its own."""
    return nn.functional.cross_entropy(
        logits_BK, target_BK, weight=weight_K, label_smoothing=config.smoothing, reduction="none"
    )
