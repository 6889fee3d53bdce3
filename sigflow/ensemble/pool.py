"""Runs over the same clips and folds, side by side.

Shape suffixes: N clips, R rows of predictions (one a clip; of sentences one a frame), K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pyarrow as pa

from sigflow import runs
from sigflow.errors import UserError
from sigflow.runs import Run
from sigflow.storage import Location

_MOST_BLOCKS, _BLOCKS_OF_ONE_FOLD = 10, 5


@dataclass(frozen=True)
class Pool:
    """Out-of-fold predictions of several runs, clip by clip.

    Attributes:
        clips: clip_id, fold, label and subject of each clip.
        probs: of each run (R, K), the rows of one clip after those of the other.
        offsets: (N + 1,) where each clip's rows begin and end.
    """

    places: tuple[Location, ...]
    runs: tuple[Run, ...]
    clips: pa.Table
    probs: tuple[np.ndarray, ...]
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.runs[0].labels

    @property
    def sentences(self) -> bool:
        """Whether sentences are recognised, or one class for each clip."""
        return self.runs[0].recipe.sentences

    @cached_property
    def true(self) -> list[list[int]]:
        """Each clip's class as a list of one, or its glosses; -1: not learnt."""
        index = {label: k for k, label in enumerate(self.labels)}
        names = self.clips["label"].to_pylist()
        return [[index.get(name, -1) for name in (text.split(" ") if self.sentences else [text])] for text in names]

    @cached_property
    def classes(self) -> np.ndarray:
        """The right class of each clip, (N,); not of sentences."""
        return np.array(self.true)[:, 0]

    @cached_property
    def blocks(self) -> np.ndarray:
        """Of each clip, (N,): the block in which it is judged, see `blocked_by`. Many folds are joined to 10."""
        names = {
            "fold": [str(fold) for fold in self.clips["fold"].to_pylist()],
            "subject": [subject or "" for subject in self.clips["subject"].to_pylist()],
            "clip": [str(row % _BLOCKS_OF_ONE_FOLD) for row in range(len(self.clips))],
        }[self.blocked_by]
        number_N: np.ndarray = np.unique(names, return_inverse=True)[1]
        return number_N % (_MOST_BLOCKS if self.blocked_by == "fold" else _BLOCKS_OF_ONE_FOLD)

    @cached_property
    def blocked_by(self) -> str:
        """Whole folds; where there is one only, whole subjects; where there is one only, clips."""
        several = [name for name in ("fold", "subject") if len(set(self.clips[name].to_pylist())) > 1]
        return (*several, "clip")[0]

    def table(self, probs_RK: np.ndarray) -> pa.Table:
        """Predictions as `runs.oof_metrics` takes them."""
        ids, labels, subjects = (self.clips[name].to_pylist() for name in ("clip_id", "label", "subject"))
        each = np.split(probs_RK, self.offsets[1:-1])
        return runs.predictions_table(ids, -1, labels, subjects, each)


def read_pool(places: Sequence[Location]) -> Pool:
    """The runs' out-of-fold predictions.

    Raises:
        UserError: a run is not finished or is given twice, or the runs differ in labels, data or folds.
    """
    each = tuple(runs.read_run(place) for place in places)
    first = each[0]
    tables = [runs.read_oof(place).sort_by("clip_id") for place in places]
    for place, run, table in zip(places, each, tables, strict=True):
        if (run.labels, run.folds_fingerprint, run.extractor, run.recipe.sentences) != (
            first.labels, first.folds_fingerprint, first.extractor, first.recipe.sentences,
        ) or any(table[name] != tables[0][name] for name in ("clip_id", "label", "subject")):  # fmt: skip
            raise UserError(f"{place} was not trained on the clips and folds of {places[0]}; ensemble runs that were")
    for i, j in combinations(range(len(places)), 2):
        if each[i].key == each[j].key and tables[i]["probs"] == tables[j]["probs"]:
            raise UserError(f"{places[i]} and {places[j]} are the same run, with the same answers; give it once")
    rows = [runs.oof_probs(table, first) for table in tables]
    lengths = [np.array([len(np.atleast_2d(clip)) for clip in clips]) for clips in rows]
    for place, length_N in zip(places, lengths, strict=True):
        if not np.array_equal(length_N, lengths[0]):
            raise UserError(f"{place} answers for other frames of the clips than {places[0]}; give runs that do alike")
    return Pool(
        tuple(places), each, tables[0].select(["clip_id", "fold", "label", "subject"]),
        tuple(np.concatenate([np.atleast_2d(clip) for clip in clips]) for clips in rows),
        np.concatenate([[0], lengths[0].cumsum()]),
    )  # fmt: skip
