"""A run's directory: written, read, resumed.

run.json        what is trained on what: recipe, data, labels, folds, key
folds.parquet   clip_id, fold, role
fold_<k>/       weights.safetensors, test.parquet, then fold.json, whose presence says that the fold is complete
oof.parquet     clip_id, fold, label, subject, probs
history.csv     one row per fold and epoch
metrics.json    out-of-fold results, gates; written last
    ray/            Ray Train's own notes
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.torch
from pydantic import ValidationError
from torch import Tensor

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.metrics import classification, transcription, worst_subject
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location


class OtherRunError(UserError):
    """The directory holds another run."""


class Run(Config):
    """What run.json says."""

    recipe: Recipe
    data: str
    data_fingerprint: str
    extractor: str
    labels: tuple[str, ...]
    num_folds: int
    folds_spec: str
    folds_fingerprint: str
    holdout: tuple[str, ...]
    subject_independent: bool

    @property
    def key(self) -> str:
        """Hash of recipe, data and folds: a fold trained under another key belongs to another run."""
        same = (self.recipe.model_dump_json(), self.data_fingerprint, self.labels, self.folds_fingerprint)
        return hashlib.sha256(repr(same).encode()).hexdigest()[:16]


def start_run(place: Location, run: Run, folds: pa.Table, *, resume: bool) -> None:
    """Write run.json and folds.parquet, or accept those of the same run.

    Raises:
        UserError: another run is there, or the same one and `resume` was not asked for.
    """
    if (place / "run.json").exists():
        there = read_run(place)
        if there.key != run.key:
            raise OtherRunError(f"{place} holds a run of another recipe, data or folds; choose another --out")
        if not resume:
            raise UserError(f"{place} holds this run already; add --resume to go on, or choose another --out")
        return
    (place / "folds.parquet").write_parquet(folds)
    (place / "run.json").write_text(run.model_dump_json(indent=1))


def read_run(place: Location) -> Run:
    """What a run's directory was started with."""
    if not (place / "run.json").exists():
        raise UserError(f"{place} holds no run (no run.json); give the --out of jobs/train.py")
    try:
        return Run.model_validate_json((place / "run.json").read_bytes())
    except ValidationError as error:
        raise UserError(
            f"{place}/run.json is damaged or of another sigflow; train again into an empty --out"
        ) from error


def fold_is_done(place: Location, fold: int, key: str) -> bool:
    """Whether this run's fold is complete."""
    mark = place / f"fold_{fold}" / "fold.json"
    return mark.exists() and json.loads(mark.read_bytes())["key"] == key


def write_fold(
    place: Location,
    key: str,
    fold: int,
    *,
    weights: dict[str, Tensor],
    test: pa.Table,
    summary: dict[str, Any],
) -> None:
    """Commit a finished fold: weights and predictions first, the mark last."""
    folder = place / f"fold_{fold}"
    (folder / "weights.safetensors").write_bytes(safetensors.torch.save(weights))
    (folder / "test.parquet").write_parquet(test)
    (folder / "fold.json").write_text(json.dumps({"key": key, "fold": fold, **summary}, indent=1))


def read_fold_weights(place: Location, fold: int) -> dict[str, Tensor]:
    """A fold's weights, on the CPU."""
    weights: dict[str, Tensor] = safetensors.torch.load((place / f"fold_{fold}" / "weights.safetensors").read_bytes())
    return weights


def read_fold_summary(place: Location, fold: int) -> dict[str, Any]:
    """A fold's fold.json."""
    summary: dict[str, Any] = json.loads((place / f"fold_{fold}" / "fold.json").read_bytes())
    return summary


def predictions_table(
    clip_ids: Sequence[str],
    fold: int,
    labels: Sequence[str],
    subjects: Sequence[str | None],
    probs: Sequence[np.ndarray],
) -> pa.Table:
    """Predictions of clips that the model has not seen; a sentence's label is its glosses, separated by spaces.

    `probs`: (K,) per clip, or (T, K) for its frames, stored row after row.
    """
    return pa.table(
        {
            "clip_id": clip_ids,
            "fold": pa.array([fold] * len(clip_ids), pa.int32()),
            "label": labels,
            "subject": pa.array(subjects, pa.string()),
            "probs": pa.array([clip.astype(np.float32).reshape(-1) for clip in probs], pa.list_(pa.float32())),
        }
    )


def finish_run(place: Location, run: Run) -> dict[str, Any]:
    """Gather the folds into oof.parquet, history.csv and metrics.json; give the metrics."""
    oof = pa.concat_tables([(place / f"fold_{k}" / "test.parquet").read_parquet() for k in range(run.num_folds)])
    summaries = [read_fold_summary(place, k) for k in range(run.num_folds)]
    (place / "oof.parquet").write_parquet(oof)
    (place / "history.csv").write_text(_history_csv(summaries))
    metrics = oof_metrics(oof, run)
    name = run.recipe.score
    scores = [summary["metrics"][name] for summary in summaries]
    worst = worst_subject(metrics)
    reached = metrics | {"worst_subject_accuracy": worst["accuracy"]}
    metrics |= {
        f"{name}_mean": float(np.mean(scores)),
        f"{name}_std": float(np.std(scores)),
        f"{name}_folds": scores,
        "worst_subject": worst,
        "subject_independent": run.subject_independent,
        "gates": {
            gate: {
                "target": target,
                "value": reached[gate],
                "passed": reached[gate] <= target if gate == "wer" else reached[gate] >= target,
            }
            for gate, target in run.recipe.gates.model_dump(exclude_none=True).items()
        },
    }
    (place / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return metrics


def read_oof(place: Location) -> pa.Table:
    """A finished run's out-of-fold predictions.

    Raises:
        UserError: the run is not finished.
    """
    if not (place / "metrics.json").exists():
        raise UserError(f"{place} is not finished; run jobs/train.py again with --resume")
    return (place / "oof.parquet").read_parquet()


def oof_metrics(oof: pa.Table, run: Run) -> dict[str, Any]:
    """Metrics once over all pooled out-of-fold predictions."""
    index = {label: k for k, label in enumerate(run.labels)}
    probs, subjects = oof_probs(oof, run), oof["subject"].to_pylist()
    if run.recipe.sentences:
        true = [[index.get(name, -1) for name in sentence.split(" ")] for sentence in oof["label"].to_pylist()]
        return transcription(probs, true, run.labels, subjects)
    true_N = np.array([index[label] for label in oof["label"].to_pylist()])
    return classification(np.array(probs), true_N, run.labels, subjects)


def oof_probs(oof: pa.Table, run: Run) -> list[np.ndarray]:
    """Of each clip: (K,), or (T, K) of its frames where sentences are recognised."""
    shape = (-1, len(run.labels)) if run.recipe.sentences else (-1,)
    return [np.array(probs, np.float32).reshape(shape) for probs in oof["probs"].to_pylist()]


def _history_csv(summaries: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = [{"fold": summary["fold"], **epoch} for summary in summaries for epoch in summary["history"]]
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
