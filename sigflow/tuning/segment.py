"""One segment of a population's member: trained on from where it is, with the settings that it has now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from sigflow.audit.plan import fitted
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.training import Checkpoint, fit
from sigflow.training.checkpoint import State
from sigflow.tuning.measure import LateError, reason_of, refuse_late
from sigflow.tuning.trials import Overrides, changed


class Stand(NamedTuple):
    """How good a member is now: its score on the fold's stop part, or why it has none."""

    score: float | None
    reason: str | None = None


class _OverError(Exception):
    """The segment's epochs are trained, and what comes next goes on from there."""


@dataclass
class _Pause(Checkpoint):
    """Ends a training once it has come to the epoch `until`, by what it is told of each `epoch`."""

    until: int = 0
    epoch: int = 0
    stopped_by: str | None = None  # a monitor, before that epoch

    @property
    def due(self) -> bool:
        return self.epoch >= self.until

    def save(self, state: State) -> None:
        super().save(state)
        if not self.due:
            code, _, _, message, _ = state["descent"]["alarms"][-1]
            self.stopped_by = f"{code}: {message}"
        raise _OverError


def train_segment(
    recipe: Recipe,
    settings: Overrides,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    state: Location,
    *,
    key: str,
    segment: int,
    segments: int,
    unlabelled: Clips | None = None,
    device: torch.device | None = None,
    deadline: float | None = None,
) -> Stand:
    """Train up to the end of this segment, from 1 to `segments`, and put the file `state` in the place of the last one.

    That is the state of all members under one `key`: whose it was does not matter. The optimiser goes on with what it
    remembers, while rate, decay and the schedule's further course are those of the `settings` now. Nobody looks at the
    test part. What the settings do wrong is the member's score, not an error.

    Raises:
        LateError: the `deadline`, in seconds since 1970, is over; it is looked at after each epoch.
    """
    last: Epoch = {}

    def told(epoch: Epoch) -> None:
        refuse_late(deadline)
        last.update(epoch)
        pause.epoch = int(epoch["epoch"])

    try:
        recipe = fitted(changed(recipe, settings), clips)
        epochs = recipe.train.epochs_for(len(fold.train))
        # A member that does not improve for a while is one to copy over, and not one that has ended.
        patient = recipe.train.model_copy(update={"patience": epochs})
        pause = _Pause(state, key, until=-(-epochs * segment // segments))
        refuse_late(deadline)
        fit(
            recipe.model_copy(update={"train": patient}), clips.read_by(recipe.parts), labels, fold,
            unlabelled=unlabelled.read_by(recipe.parts) if unlabelled and recipe.pretraining.epochs else None,
            device=device, report=told, checkpoint=pause,
        )  # fmt: skip
    except _OverError:
        return Stand(None, pause.stopped_by) if pause.stopped_by else Stand(float(last[f"stop_{recipe.score}"]))
    except LateError:
        raise
    except Exception as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return Stand(None, reason_of(error))
    raise AssertionError(f"segment {segment} of {segments} has no epoch")
