"""What was tried: one file a trial, written when it ends, and all of them as a table."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.recipes.recipe import AT_MOST, Recipe, override
from sigflow.recipes.space import value_at
from sigflow.storage import Location

TRIALS = "trials"
Overrides: TypeAlias = dict[str, Any]  # of the recipe, by the keys of `--set`; values as JSON has them


class Trial(Config):
    """One configuration, and how far it came. `ended_s`: since the search began, pauses left out."""

    number: int
    recipe: str
    overrides: Overrides
    state: Literal["complete", "stopped", "failed"]
    reason: str | None = None  # why it was stopped, or failed
    scores: tuple[float, ...] = ()  # of each fold that was trained, in order
    alarms: tuple[str, ...] = ()  # of the monitors
    seconds: float
    ended_s: float

    @property
    def mean(self) -> float | None:
        """Over the folds that were trained; None: not one was."""
        return float(np.mean(self.scores)) if self.scores else None


def sign_of(score: str) -> int:
    """1 where a higher score is better, else -1."""
    return -1 if score in AT_MOST else 1


def changed(recipe: Recipe, overrides: Overrides) -> Recipe:
    """The recipe with these settings.

    Raises:
        UserError: they do not fit together.
    """
    return override(recipe, [f"{key}={json.dumps(value)}" for key, value in overrides.items()])


def write_trial(place: Location, trial: Trial) -> None:
    """Into the search's folder `place`; at once or not at all."""
    (place / TRIALS / f"{trial.number:04d}.json").write_text(trial.model_dump_json(indent=1))


def read_trials(place: Location) -> list[Trial]:
    """Those that have ended, in the order in which they were begun.

    Raises:
        UserError: a file is damaged.
    """
    trials = []
    for file in (place / TRIALS).files(".json"):
        try:
            trials.append(Trial.model_validate_json(file.read_bytes()))
        except ValidationError as error:
            raise UserError(f"{file} is damaged or of another sigflow; delete it, or choose another --out") from error
    return trials


def best_of(trials: Sequence[Trial], score: str) -> Trial | None:
    """The best of those that trained all folds (if none did, of those that trained the most); None: no fold at all.

    Means over different folds say nothing of each other: folds differ more than settings do.
    """
    most = max((len(trial.scores) for trial in trials if trial.state != "failed"), default=0)
    full = [trial for trial in trials if trial.state != "failed" and len(trial.scores) == most > 0]
    sign = sign_of(score)
    return max(full, key=lambda trial: (sign * (trial.mean or 0.0), -trial.number), default=None)


def table(trials: Sequence[Trial]) -> pa.Table:
    """One row a trial: settings as columns (null where its recipe has none), state, the score of each fold, seconds.

    A setting that is a list is stored as JSON.
    """
    keys = list(dict.fromkeys(key for trial in trials for key in trial.overrides))
    most = max((len(trial.scores) for trial in trials), default=0)
    columns: dict[str, list[Any]] = {
        name: [getattr(trial, name) for trial in trials]
        for name in ("number", "recipe", "state", "reason", "seconds", "ended_s")
    }
    columns |= {"folds": [len(trial.scores) for trial in trials], "score": [trial.mean for trial in trials]}
    for fold in range(most):
        columns[f"fold_{fold}"] = [trial.scores[fold] if fold < len(trial.scores) else None for trial in trials]
    columns |= {key: _plain([trial.overrides.get(key) for trial in trials]) for key in keys}
    return pa.table({name: _column(name, values) for name, values in columns.items()})


def _column(name: str, values: list[Any]) -> pa.Array:
    return pa.array(values, pa.string() if name == "reason" else None)


def _plain(values: list[Any]) -> list[Any]:
    """One type a column."""
    numbers = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    if numbers:
        real = any(isinstance(value, float) for value in values)
        return [float(value) if real and value is not None else value for value in values]
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]


def short(recipes: Mapping[str, Recipe], trial: Trial) -> str:
    """What it changes, for people; the recipe's name where there are several."""
    recipe = recipes[trial.recipe]
    words = [
        f"{key.rpartition('.')[2]}={json.dumps(value)}"
        for key, value in trial.overrides.items()
        if value != value_at(recipe, key)
    ]
    name = [trial.recipe] if len(recipes) > 1 else []
    return " ".join([*name, *(words or ["the recipe as it is"])])
