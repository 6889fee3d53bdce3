"""Out-of-fold predictions to members and their weights. A member is a run: its fold models, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow import runs
from sigflow.errors import UserError
from sigflow.runs import Run
from sigflow.storage import Location


@dataclass(frozen=True)
class Member:
    """A run with its share of the vote."""

    place: Location
    run: Run
    weight: float


@dataclass(frozen=True)
class Ensemble:
    """Members over one set of labels and folds; `oof` are the weighted average's out-of-fold predictions."""

    members: tuple[Member, ...]
    oof: pa.Table
    metrics: dict[str, Any]
    best_single: float  # pooled OOF macro-F1 of the best member alone

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.members[0].run.labels


def average(places: Sequence[Location]) -> Ensemble:
    """All runs with equal weight, averaged in probability.

    Raises:
        UserError: a run is not finished, or the runs differ in labels, data or folds.
    """
    members = tuple(Member(place, runs.read_run(place), 1 / len(places)) for place in places)
    first = members[0].run
    tables = [runs.read_oof(member.place).sort_by("clip_id") for member in members]
    same = (first.labels, first.folds_fingerprint, first.extractor)
    for member, table in zip(members, tables, strict=True):
        run = member.run
        if (run.labels, run.folds_fingerprint, run.extractor) != same or table["clip_id"] != tables[0]["clip_id"]:
            raise UserError(
                f"{member.place} was not trained on the clips and folds of {members[0].place}; ensemble runs that were"
            )
    probs_NK = np.mean([np.array(table["probs"].to_pylist()) for table in tables], axis=0)
    ids, labels, subjects = (tables[0][name].to_pylist() for name in ("clip_id", "label", "subject"))
    oof = runs.predictions_table(ids, -1, labels, subjects, probs_NK)
    singles = [runs.oof_metrics(table, first.labels)["macro_f1"] for table in tables]
    return Ensemble(members, oof, runs.oof_metrics(oof, first.labels), max(singles))
