"""Optimisers and their settings."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from sigflow.config import Config


class OptimConfig(Config):
    """Adam or AdamW; gradients are clipped to `clip_norm`, so that no batch can throw the weights away."""

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)


def make_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser over all of the model's parameters."""
    kind = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, foreach=True)
