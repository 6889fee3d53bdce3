"""Optimisers, learning rates over a training, and averaged weights."""

from collections.abc import Sequence
from math import cos, pi
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from sigflow.config import Config


class OptimConfig(Config):
    """Adam or AdamW; gradients are clipped to `clip_norm`, so that no batch can throw the weights away.

    The learning rate rises evenly over `warmup_epochs`; then it stays, or falls to 0 as a half cosine (Loshchilov and
    Hutter 2017), or is halved when the stop part has not improved for `plateau_patience` epochs.
    `ema_decay`: predictions come from the weights' exponential average over steps, whose memory grows up to that decay
    (0: from the last step's).
    """

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0)
    plateau_patience: int = Field(default=5, ge=1)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)


def make_optimiser(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser over all of the model's parameters."""
    kind = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    return kind(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, foreach=True)


class LearningRate:
    """Sets the optimiser's rate: `step` before each step, `epoch_ended` after each epoch."""

    def __init__(
        self, optimiser: torch.optim.Optimizer, config: OptimConfig, *, steps_per_epoch: int, epochs: int
    ) -> None:
        self._optimiser, self._config = optimiser, config
        self._warmup = config.warmup_epochs * steps_per_epoch
        self._steps = steps_per_epoch * epochs
        self._step, self._factor, self._best, self._waited = 0, 1.0, float("inf"), 0

    def state(self) -> list[float]:
        """Where it is, for `restore`."""
        return [float(self._step), self._factor, self._best, float(self._waited)]

    def restore(self, state: Sequence[float]) -> None:
        """Go on from there."""
        self._step, self._factor, self._best, self._waited = int(state[0]), state[1], state[2], int(state[3])

    def step(self, *, hold: bool = False) -> None:
        """The rate of the next step; with `hold` the schedule stands still once it is warm."""
        factor = self._factor
        if self._step < self._warmup:
            factor *= (self._step + 1) / (self._warmup + 1)
        elif self._config.schedule == "cosine":
            done = (self._step - self._warmup) / max(self._steps - self._warmup, 1)
            factor *= 0.5 * (1 + cos(pi * min(done, 1.0)))
        for group in self._optimiser.param_groups:
            group["lr"] = self._config.lr * factor
        self._step += not hold or self._step < self._warmup

    def epoch_ended(self, stop_loss: float) -> None:
        """What the plateau schedule looks at."""
        if stop_loss < self._best:
            self._best, self._waited = stop_loss, 0
            return
        self._waited += 1
        if self._config.schedule == "plateau" and self._waited >= self._config.plateau_patience:
            self._factor, self._waited = self._factor / 2, 0


def averaged(model: nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel | None:
    """A copy that follows the model, or None without `decay`; buffers are those of the last step."""
    if not decay:
        return None

    def mix(average: torch.Tensor, new: torch.Tensor, number: torch.Tensor | int) -> torch.Tensor:
        # Early averages forget quickly (as TensorFlow's ExponentialMovingAverage with num_updates).
        return torch.lerp(average, new, 1 - min(decay, (1 + int(number)) / (10 + int(number))))

    return torch.optim.swa_utils.AveragedModel(model, avg_fn=mix)
