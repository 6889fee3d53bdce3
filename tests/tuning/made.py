"""Trials that nobody trained."""

from typing import Any

from sigflow.tuning import Trial


def trial(number: int, *scores: float, folds: int = 3, **given: Any) -> Trial:
    """Complete where there are as many scores as folds, else stopped."""
    state = "complete" if len(scores) == folds else "stopped"
    settings: dict[str, Any] = {
        "number": number, "recipe": "mine", "overrides": {"optim.lr": 1e-3}, "state": state, "scores": scores,
        "seconds": 1.0, "ended_s": float(number),
    }  # fmt: skip
    return Trial(**settings | given)
