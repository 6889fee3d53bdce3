"""Fit one fold: plain PyTorch, no Ray."""

from sigflow.monitors import Epoch
from sigflow.training.checkpoint import Checkpoint
from sigflow.training.fold import FoldResult, fit
from sigflow.training.start import Start, begin_with, build
from sigflow.training.team import Team
from sigflow.training.whole import Whole, fit_whole

__all__ = [
    "Checkpoint", "Epoch", "FoldResult", "Start", "Team", "Whole", "begin_with", "build", "fit", "fit_whole",
]  # fmt: skip
