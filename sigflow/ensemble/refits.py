"""Models that take the place of a run's fold models, kept under a bundle's folder.

refits/<key>/       weights.safetensors, then refit.json, whose presence says that the refit is complete
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import safetensors.torch
from torch import Tensor

from sigflow.runs import Run
from sigflow.storage import Location

FOLDER = "refits"
_WEIGHTS, _MARK = "weights.safetensors", "refit.json"


def refit_place(out: Location, run: Run, course: Sequence[Any]) -> Location:
    """Where the refit of this run lies. `course`: all that beside the run decides what it becomes, as plain JSON."""
    key = hashlib.sha256(repr((run.key, json.dumps(course))).encode()).hexdigest()[:16]
    return out / FOLDER / key


def refit_is_done(place: Location) -> bool:
    """Whether it is complete."""
    return (place / _MARK).exists()


def write_refit(place: Location, weights: dict[str, Tensor], summary: dict[str, Any]) -> None:
    """Commit: the weights first, the mark last."""
    (place / _WEIGHTS).write_bytes(safetensors.torch.save(weights))
    (place / _MARK).write_text(json.dumps(summary, indent=1))


def read_refit(place: Location) -> dict[str, Any]:
    """What refit.json says."""
    summary: dict[str, Any] = json.loads((place / _MARK).read_bytes())
    return summary


def read_refit_weights(place: Location) -> dict[str, Tensor]:
    """On the CPU."""
    weights: dict[str, Tensor] = safetensors.torch.load((place / _WEIGHTS).read_bytes())
    return weights
