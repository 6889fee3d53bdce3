"""Runs side by side: what was set otherwise, what came of it, and whether that could be chance.

Shape suffixes: N clips.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import binomtest

from sigflow import runs
from sigflow.decoding import ctc_greedy
from sigflow.errors import UserError
from sigflow.evaluation import frame_probs
from sigflow.metrics import edit_distance, wer_interval
from sigflow.recipes.settings import leaves
from sigflow.storage import Location

FIGURES = (
    "score", "score_mean", "score_sd", "score_low", "score_high", "accuracy", "worst_subject_accuracy", "train_loss",
    "stop_loss", "train_accuracy", "stop_accuracy", "gap", "best_epoch", "epochs", "seconds", "parameters",
    "gates_passed", "alarms",
)  # fmt: skip
_BESIDE = ("recipe", "data_fingerprint", "folds", "folds_fingerprint", "holdout", "sigflow", "commit")
_LEVEL = 0.05


def compare(folder: Location, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As plain JSON: `settings` that differ and all `figures`, a value for each of `rows`; `tests` against the first.

    `folder`: where the runs' directories are, which the tests read.
    """
    settings = [{name: row[name] for name in _BESIDE} | leaves(json.loads(row["recipe_json"])) for row in rows]
    names = dict.fromkeys(name for each in settings for name in each if name != "name")
    side_by_side = {name: [each.get(name) for each in settings] for name in names}
    return {
        "runs": [row["run"] for row in rows],
        "settings": {name: values for name, values in side_by_side.items() if any(v != values[0] for v in values)},
        "figures": {name: [row[name] for row in rows] for name in ("score_name", *FIGURES)},
        "tests": [
            {"run": row["run"], "against": rows[0]["run"], **_test(folder, rows[0], row)} for row in rows[1:]
        ],
    }  # fmt: skip


def _test(folder: Location, first: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    try:
        mine, theirs = (_read(folder / row["run"], row["key"]) for row in (first, other))
        _refuse_unlike(mine, theirs)
    except UserError as error:
        return {"untested": str(error)}
    subjects = mine[1]["subject"].to_pylist()
    if mine[0].recipe.sentences:
        glosses = [len(sentence.split(" ")) for sentence in mine[1]["label"].to_pylist()]
        return wer_difference(_edits(*mine), _edits(*theirs), glosses, subjects)
    return accuracy_difference(_right(*mine), _right(*theirs), subjects)


def accuracy_difference(first_N: np.ndarray, other_N: np.ndarray, subjects: Sequence[str | None]) -> dict[str, Any]:
    """Whether two models are right equally often, of the same clips; True: right.

    McNemar 1947, exact: of the clips that only one of them has right, each should have half. It takes clips for
    independent, which those of one subject are not; the interval of the difference is over subjects.
    """
    only_first, only_other = int((first_N & ~other_N).sum()), int((other_N & ~first_N).sum())
    differing = only_first + only_other
    p_value = float(binomtest(only_other, differing).pvalue) if differing else 1.0
    gained_N = other_N.astype(int) - first_N.astype(int)
    return {
        "method": "McNemar's exact test",
        "only_first_right": only_first,
        "only_other_right": only_other,
        "p_value": p_value,
        "significant": p_value < _LEVEL,
        **_difference("accuracy", gained_N, np.ones(len(gained_N), int), subjects),
    }


def wer_difference(
    first_edits_N: Sequence[int], other_edits_N: Sequence[int], glosses_N: Sequence[int], subjects: Sequence[str | None]
) -> dict[str, Any]:
    """Whether two models have the same WER, of the same sentences: a paired bootstrap over subjects.

    Both share the true glosses, so that the difference of two WERs is the WER of the difference of their edits.
    """
    found = _difference("wer", np.array(other_edits_N) - np.array(first_edits_N), np.array(glosses_N), subjects)
    low, high = found["interval"]
    return {"method": "paired bootstrap", "significant": low > 0 or high < 0, **found}


def _difference(figure: str, more_N: np.ndarray, of_N: np.ndarray, subjects: Sequence[str | None]) -> dict[str, Any]:
    """The other's figure minus the first's, with its 95 % interval."""
    interval = wer_interval(more_N.tolist(), of_N.tolist(), subjects)
    return {
        "figure": figure,
        "difference": float(more_N.sum() / max(of_N.sum(), 1)),
        "interval": interval["wer"],
        "drawn": interval["drawn"],
        "units": interval["units"],
        "too_few_units": interval["too_few_units"],
    }


_Answers = tuple[runs.Run, pa.Table]


def _read(place: Location, key: str) -> _Answers:
    """A run and its out-of-fold predictions by clip."""
    run = runs.read_run(place)
    if run.key != key:
        raise UserError(f"{place} holds another run by now")
    return run, runs.read_oof(place).sort_by("clip_id")


def _refuse_unlike(mine: _Answers, theirs: _Answers) -> None:
    columns = ["clip_id", "fold", "label"]
    if mine[0].folds_fingerprint != theirs[0].folds_fingerprint or mine[1].select(columns) != theirs[1].select(columns):
        raise UserError("the clips or folds differ: train both on the same data with the same --folds and --holdout")
    if mine[0].labels != theirs[0].labels or mine[0].recipe.sentences != theirs[0].recipe.sentences:
        raise UserError("the classes differ")


def _right(run: runs.Run, oof: pa.Table) -> np.ndarray:
    given = [run.labels[int(probs_K.argmax())] for probs_K in frame_probs(oof, run.labels, sentences=False)]
    return np.array(given) == np.array(oof["label"].to_pylist())


def _edits(run: runs.Run, oof: pa.Table) -> list[int]:
    index = {label: number for number, label in enumerate(run.labels)}
    answers = frame_probs(oof, run.labels, sentences=True)
    return [
        edit_distance([index.get(name, -1) for name in sentence.split(" ")], ctc_greedy(probs_TK))
        for sentence, probs_TK in zip(oof["label"].to_pylist(), answers, strict=True)
    ]
