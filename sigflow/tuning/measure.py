"""One trial: folds trained one after the other, told of after each, with nothing that a bad setting could end."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from pydantic import ValidationError

from sigflow.audit.plan import fitted
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.training import fit
from sigflow.tuning.trials import Overrides, changed

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Standing(NamedTuple):
    """How far a trial is: the score of each fold so far, on its test part, and why it goes no further."""

    scores: tuple[float, ...] = ()
    alarms: tuple[str, ...] = ()
    failed: str | None = None
    late: bool = False


class LateError(Exception):
    """The search's time is over."""


def refuse_late(deadline: float | None) -> None:
    """`deadline`: in seconds since 1970.

    Raises:
        LateError: it is over.
    """
    if deadline is not None and time.time() >= deadline:
        raise LateError


def train_in_turn(
    recipe: Recipe,
    overrides: Overrides,
    clips: Clips,
    labels: Sequence[str],
    folds: Sequence[Fold],
    *,
    unlabelled: Clips | None = None,
    device: torch.device | None = None,
    deadline: float | None = None,
) -> Iterator[Standing]:
    """Where the trial stands after each fold; the last one says if it failed, or was `late`.

    `clips`, `unlabelled`: may have more parts than are read; the latter for pre-training alone.
    `deadline`: in seconds since 1970, looked at after each epoch.
    """
    standing = Standing()

    def on_time(epoch: Epoch | None = None) -> None:
        refuse_late(deadline)

    try:
        recipe = fitted(changed(recipe, overrides), clips)
        clips = clips.read_by(recipe.parts)
        others = unlabelled.read_by(recipe.parts) if unlabelled and recipe.pretraining.epochs else None
        for fold in folds:
            on_time()
            result = fit(recipe, clips, labels, fold, unlabelled=others, device=device, report=on_time)
            said = tuple(f"fold {fold.number} {alarm.code}" for alarm in result.alarms)
            standing = Standing((*standing.scores, float(result.metrics[recipe.score])), standing.alarms + said)
            yield standing
    except LateError:
        yield standing._replace(late=True)
    except Exception as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        yield standing._replace(failed=reason_of(error))


def reason_of(error: Exception) -> str:
    """In a word, and then its own."""
    said = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(words in said.lower() for words in _NO_MEMORY):
        return f"out of memory: {said}"
    if isinstance(error, UserError) and "diverged" in said:
        return f"diverged: {said}"
    if isinstance(error, UserError | ValidationError | ValueError | KeyError):
        return f"bad configuration: {said}"
    return f"{type(error).__name__}: {said}"
