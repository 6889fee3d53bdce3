"""What is exported: runs with their shares of the vote."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from torch import Tensor

from sigflow import runs
from sigflow.ensemble.pool import read_pool
from sigflow.ensemble.refits import read_refit_weights
from sigflow.ensemble.votes import Mix, mixed
from sigflow.runs import Run
from sigflow.storage import Location


@dataclass(frozen=True)
class Member:
    """A run with its share of the vote. `refit`: where one model lies that takes the place of its fold models."""

    place: Location
    run: Run
    weight: float
    refit: Location | None = None

    @property
    def num_models(self) -> int:
        """How many are averaged."""
        return 1 if self.refit else self.run.num_folds

    def weights(self) -> list[dict[str, Tensor]]:
        """Of each of its models, on the CPU."""
        if self.refit:
            return [read_refit_weights(self.refit)]
        return [runs.read_fold_weights(self.place, fold) for fold in range(self.run.num_folds)]


@dataclass(frozen=True)
class Ensemble:
    """Members over one set of labels and folds.

    Attributes:
        oof: out-of-fold predictions; where there was a choice, nested ones.
        metrics: of `oof`.
        best_single: OOF macro-F1 (sentences: WER) of the best member alone, nested where there was a choice.
        temperature: by which the logarithms of the average are divided.
        choice: how members, weights and temperature were found, as plain JSON.
    """

    members: tuple[Member, ...]
    oof: pa.Table
    metrics: dict[str, Any]
    best_single: float
    temperature: float = 1.0
    choice: dict[str, Any] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.members[0].run.labels


def average(places: Sequence[Location]) -> Ensemble:
    """All runs with equal weight, averaged in probability; nothing is chosen, nothing calibrated.

    Raises:
        UserError: a run is not finished or is given twice, or the runs differ in labels, data or folds.
    """
    pool = read_pool(places)
    weight, first = 1 / len(pool), pool.runs[0]
    oof = pool.table(mixed(pool, Mix((weight,) * len(pool))))
    singles = [runs.oof_metrics(pool.table(probs), first)[first.recipe.score] for probs in pool.probs]
    best = min(singles) if first.recipe.sentences else max(singles)
    members = tuple(Member(place, run, weight) for place, run in zip(pool.places, pool.runs, strict=True))
    return Ensemble(members, oof, runs.oof_metrics(oof, first), best)
