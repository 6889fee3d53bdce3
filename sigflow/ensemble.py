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
    best_single: float  # pooled OOF macro-F1 (sentences: WER) of the best member alone

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
    same = (first.labels, first.folds_fingerprint, first.extractor, first.recipe.sentences)
    for member, table in zip(members, tables, strict=True):
        run = member.run
        if (run.labels, run.folds_fingerprint, run.extractor, run.recipe.sentences) != same or table[
            "clip_id"
        ] != tables[0]["clip_id"]:
            raise UserError(
                f"{member.place} was not trained on the clips and folds of {members[0].place}; ensemble runs that were"
            )
    each = [runs.oof_probs(table, first) for table in tables]
    probs = [np.mean(clip, axis=0) for clip in zip(*each, strict=True)]
    ids, labels, subjects = (tables[0][name].to_pylist() for name in ("clip_id", "label", "subject"))
    oof = runs.predictions_table(ids, -1, labels, subjects, probs)
    score = first.recipe.score
    singles = [runs.oof_metrics(table, first)[score] for table in tables]
    best = min(singles) if score == "wer" else max(singles)
    return Ensemble(members, oof, runs.oof_metrics(oof, first), best)
