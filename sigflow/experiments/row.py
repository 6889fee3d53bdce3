"""What the log says of one run."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from sigflow import runs
from sigflow.experiments.settings import overrides, without_credentials
from sigflow.runs import Run
from sigflow.storage import Location
from sigflow.training import build

_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    {
        "run": pa.string(),  # the directory's name
        "uri": pa.string(),
        "key": pa.string(),  # the same recipe, data and folds: the same key
        "recipe": pa.string(),
        "overrides": pa.list_(pa.string()),  # null: no shipped recipe has this name
        "data": pa.string(),
        "data_fingerprint": pa.string(),
        "folds": pa.string(),  # as asked for: 5, subject, random:5 or split
        "num_folds": pa.int32(),
        "folds_fingerprint": pa.string(),
        "subject_independent": pa.bool_(),
        "holdout": pa.int32(),  # subjects that no fold has seen
        "clips": pa.int32(),  # that were tested
        "subjects": pa.int32(),
        "classes": pa.int32(),  # or glosses, without the blank
        "score_name": pa.string(),  # macro_f1, higher is better, or wer, lower is
        "score": pa.float64(),  # over all out-of-fold clips
        "score_mean": pa.float64(),  # over folds
        "score_sd": pa.float64(),  # over folds, population
        "score_low": pa.float64(),  # of the 95 % interval over subjects
        "score_high": pa.float64(),
        "accuracy": pa.float64(),  # over all out-of-fold clips; of sentences: right in full
        "worst_subject": pa.string(),
        "worst_subject_accuracy": pa.float64(),
        "train_loss": pa.float64(),  # these five at each fold's best epoch, mean over folds
        "stop_loss": pa.float64(),
        "train_accuracy": pa.float64(),
        "stop_accuracy": pa.float64(),
        "gap": pa.float64(),  # training accuracy above the stop part's
        "best_epoch": pa.float64(),  # the epoch of convergence, mean over folds
        "epochs": pa.float64(),  # that were trained, mean over folds
        "seconds": pa.float64(),  # that the job took; of a resumed run, the last time
        "parameters": pa.int64(),
        "gates": pa.int32(),
        "gates_passed": pa.int32(),
        "warnings": pa.int32(),
        "alarms": pa.int32(),  # of the monitors, over all folds
        "sigflow": pa.string(),  # version
        "commit": pa.string(),  # with a + where files were changed since
        "started": _TIME,
        "finished": _TIME,
        "recipe_json": pa.string(),
    }
)


def row_of(place: Location, run: Run, metrics: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The row of a finished run, by the names of SCHEMA."""
    summaries = [runs.read_fold_summary(place, fold) for fold in range(run.num_folds)]
    best = [_best_epoch(summary) for summary in summaries]
    score, worst, gates = run.recipe.score, metrics["worst_subject"], metrics["gates"].values()
    low, high = metrics["intervals"][score]
    means = {
        name: _mean(epoch.get(column) for epoch in best)
        for name, column in (
            ("train_loss", "loss"), ("stop_loss", "stop_loss"),
            ("train_accuracy", "accuracy"), ("stop_accuracy", "stop_accuracy"),
        )
    }  # fmt: skip
    gaps = [
        epoch["accuracy"] - epoch["stop_accuracy"] for epoch in best if {"accuracy", "stop_accuracy"} <= epoch.keys()
    ]
    return {
        "run": place.name, "uri": without_credentials(place.uri), "key": run.key,
        "recipe": run.recipe.name, "overrides": overrides(run.recipe),
        "data": without_credentials(run.data), "data_fingerprint": run.data_fingerprint,
        "folds": run.folds_spec, "num_folds": run.num_folds, "folds_fingerprint": run.folds_fingerprint,
        "subject_independent": run.subject_independent, "holdout": len(run.holdout),
        "clips": metrics["clips"], "subjects": len(metrics["per_subject"]),
        "classes": len(run.labels) - run.recipe.sentences,
        "score_name": score, "score": metrics[score], "score_mean": metrics[f"{score}_mean"],
        "score_sd": metrics[f"{score}_std"], "score_low": low, "score_high": high,
        "accuracy": metrics["accuracy"],
        "worst_subject": worst["subject"], "worst_subject_accuracy": worst["accuracy"],
        **means, "gap": _mean(gaps),
        "best_epoch": _mean(summary["best_epoch"] for summary in summaries),
        "epochs": _mean(len(summary["history"]) for summary in summaries), "seconds": seconds,
        "parameters": sum(p.numel() for p in build(run.recipe, len(run.labels)).parameters()),
        "gates": len(gates), "gates_passed": sum(gate["passed"] for gate in gates),
        "warnings": len(metrics.get("warnings", ())),
        "alarms": sum(len(summary.get("alarms", ())) for summary in summaries),
        **_made_with(place), **_times(place, run), "recipe_json": run.recipe.model_dump_json(),
    }  # fmt: skip


def _best_epoch(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The epoch whose weights were kept; of a portfolio its last member's, which `best_epoch` speaks of."""
    last = summary["history"][-1].get("member")
    mine = (row for row in summary["history"] if row.get("member") == last)
    return next((row for row in mine if row["epoch"] == summary["best_epoch"]), {})


def _mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are known."""
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _made_with(place: Location) -> dict[str, Any]:
    file = place / "environment.json"
    made = json.loads(file.read_bytes()) if file.exists() else {}
    source = made.get("source")
    return {
        "sigflow": made.get("packages", {}).get("sigflow"),
        "commit": source and source["commit"] + ("+" if source["changed"] else ""),
    }


def _times(place: Location, run: Run) -> dict[str, datetime]:
    """When the run was begun and when its last fold was done, by its files: a later look at it changes neither."""
    begun = [stored.modified_ms for stored in place.listing("/run.json")]
    done = [
        stored.modified_ms for fold in range(run.num_folds) for stored in (place / f"fold_{fold}").listing("/fold.json")
    ]
    return {
        "started": datetime.fromtimestamp(begun[0] / 1000, UTC),
        "finished": datetime.fromtimestamp(max(done) / 1000, UTC),
    }
