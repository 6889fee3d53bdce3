"""A run's directory: written, read, resumed.

run.json            what is trained on what: recipe, data with its fingerprint, labels, folds
recipe.json         the recipe alone, which `--recipe FILE.json` takes
environment.json    versions, machine, commit
folds.parquet       clip_id, fold, role
fold_<k>/           checkpoint.pt, to go on from, also with other settings; weights.safetensors, scaler.json,
                    test.parquet, then fold.json, whose presence says that the fold is complete
oof.parquet         clip_id, fold, label, subject, probs, duration_s
history.csv         one row per fold and epoch, with how diverse the answers were
class_weights.json  of each fold's training clips
metrics.json        out-of-fold results, gates; written last
report/             index.html and model_card.md, see `sigflow.report`
tensorboard/        one event file per fold
ray/                Ray Train's own notes
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import Tensor

from sigflow import evaluation
from sigflow.config import Config
from sigflow.data.clips import Clips
from sigflow.environment import environment
from sigflow.errors import UserError
from sigflow.metrics import worst_subject
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.settings import obstacles_to_going_on
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
    init: str | None = None  # key of the run whose weights it began with
    continues: tuple[str, ...] = ()  # keys that it had before its settings were changed, the latest first

    @property
    def key(self) -> str:
        """Hash of recipe, data, folds, beginning: a fold trained under another key belongs to another run."""
        same: tuple[object, ...] = (
            self.recipe.model_dump_json(), self.data_fingerprint, self.labels, self.folds_fingerprint,
        )  # fmt: skip
        if self.init:
            same = (*same, self.init)
        if self.continues:
            same = (*same, self.continues)
        return hashlib.sha256(repr(same).encode()).hexdigest()[:16]


def start_run(place: Location, run: Run, folds: pa.Table, *, resume: bool) -> Run:
    """Write run.json and folds.parquet, or go on with what is there; give the run as it stands there.

    With `resume`, a run that differs only in settings that a training under way can take up (`recipes.settings`)
    becomes this run: its folds go on where they ended, and it is not finished before they have.

    Raises:
        UserError: another run is there, or the same one and `resume` was not asked for.
    """
    if (place / "run.json").exists():
        there = read_run(place)
        same = run.model_copy(update={"continues": there.continues})
        if same.key == there.key:
            if not resume:
                raise UserError(f"{place} holds this run already; add --resume to go on, or choose another --out")
            return there
        obstacles = obstacles_to_going_on(there.recipe, run.recipe)
        if obstacles or same.model_copy(update={"recipe": there.recipe}).key != there.key:
            what = f" ({obstacles[0]} cannot change on the way)" if obstacles and resume else ""
            raise OtherRunError(f"{place} holds a run of another recipe, data or folds{what}; choose another --out")
        if not resume:
            raise OtherRunError(
                f"{place} holds a run of this recipe with other settings; add --resume to go on with these, or choose "
                "another --out"
            )
        run = run.model_copy(update={"continues": (there.key, *there.continues)})
        (place / "metrics.json").delete()
    else:
        (place / "folds.parquet").write_parquet(folds)
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        (place / "environment.json").write_text(json.dumps(environment(gpu), indent=1))
    (place / "recipe.json").write_text(run.recipe.model_dump_json(indent=1))
    (place / "run.json").write_text(run.model_dump_json(indent=1))
    return run


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
    if "scaler.mean" in weights:
        scaler = {name: weights[f"scaler.{name}"].tolist() for name in ("mean", "std")}
        (folder / "scaler.json").write_text(json.dumps(scaler))
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


def finish_run(place: Location, run: Run, clips: Clips | None = None) -> dict[str, Any]:
    """Gather the folds into oof.parquet, history.csv, class_weights.json and metrics.json; give the metrics.

    With `clips`, those of the run, the predictions know how long each clip is, and class weights are known of folds
    whose training clips no fold tests.
    """
    oof = pa.concat_tables([(place / f"fold_{k}" / "test.parquet").read_parquet() for k in range(run.num_folds)])
    oof = oof.append_column("duration_s", _durations(oof, clips))
    summaries = [read_fold_summary(place, k) for k in range(run.num_folds)]
    (place / "oof.parquet").write_parquet(oof)
    (place / "history.csv").write_text(_history_csv(summaries))
    if (weights := _class_weights(place, run, oof, clips)) is not None:
        (place / "class_weights.json").write_text(json.dumps(weights, indent=1))
    metrics = oof_metrics(oof, run)
    sentences = run.recipe.sentences
    folds = evaluation.spread(oof, run.labels, sentences=sentences)
    score = folds[run.recipe.score]
    worst = worst_subject(metrics)
    metrics |= {
        **{f"{run.recipe.score}_{name}": score[name] for name in ("mean", "std", "folds")},
        "spread": folds,
        "intervals": evaluation.intervals(oof, run.labels, sentences=sentences),
        "worst_subject": worst,
        "subject_independent": run.subject_independent,
        "gates": run.recipe.gates.judge(metrics | {"worst_subject_accuracy": worst["accuracy"]}),
    }
    (place / "metrics.json").write_text(json.dumps(metrics, indent=1))
    return metrics


def missed_gates(metrics: dict[str, Any]) -> list[str]:
    """A line for each gate that a finished run did not pass."""
    return [
        f"gate missed: {name} "
        + ("was not measured" if gate["value"] is None else f"is {gate['value']:.3f}")
        + f", the recipe wants {gate['target']}; do not rely on this model"
        for name, gate in metrics["gates"].items()
        if not gate["passed"]
    ]


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
    return evaluation.measure(oof, run.labels, sentences=run.recipe.sentences)


def oof_probs(oof: pa.Table, run: Run) -> list[np.ndarray]:
    """Of each clip: (K,), or (T, K) of its frames where sentences are recognised."""
    return evaluation.frame_probs(oof, run.labels, sentences=run.recipe.sentences)


def _durations(oof: pa.Table, clips: Clips | None) -> pa.Array:
    """Seconds from each clip's first frame to the end of its last one; null where that is not known."""
    if clips is None:
        return pa.nulls(len(oof), pa.float64())
    offsets = clips.offsets
    first, last = (clips.time_s_S[places].double().cpu().numpy() for places in (offsets[:-1], offsets[1:] - 1))
    frames = offsets.diff().cpu().numpy()
    # A frame lasts as long as its clip's steps do on average; one alone as long as the video's rate says.
    rates = np.array([rate or np.nan for rate in clips.table["fps"].to_pylist()], float)
    step = np.where(frames > 1, (last - first) / np.maximum(frames - 1, 1), 1 / rates)
    known = dict(zip(clips.column("clip_id"), (last - first + step).tolist(), strict=True))
    found = [known.get(clip_id, np.nan) for clip_id in oof["clip_id"].to_pylist()]
    return pa.array(found, pa.float64(), from_pandas=True)


def _class_weights(place: Location, run: Run, oof: pa.Table, clips: Clips | None) -> dict[str, Any] | None:
    """Of each fold and class: training clips, and n / (classes * clips), what the loss multiplies with if it does.

    None: sentences have no such weights, or clips are trained on whose labels are not known here.
    """
    known = oof if clips is None else clips.table
    label_of = dict(zip(known["clip_id"].to_pylist(), known["label"].to_pylist(), strict=True))
    counts = [Counter[str]() for _ in range(run.num_folds)]
    for row in (place / "folds.parquet").read_parquet().to_pylist():
        if row["role"] == "train":
            if run.recipe.sentences or row["clip_id"] not in label_of:
                return None
            counts[row["fold"]][label_of[row["clip_id"]]] += 1
    return {
        "used_by_the_loss": run.recipe.loss_weights,
        "formula": "training clips / (classes * training clips of the class); 0 for a class without any",
        "folds": [
            {
                label: {
                    "clips": count[label],
                    "weight": count.total() / (len(run.labels) * count[label]) if count[label] else 0.0,
                }
                for label in run.labels
            }
            for count in counts
        ],
    }


def _history_csv(summaries: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    rows = [{"fold": summary["fold"], **epoch} for summary in summaries for epoch in summary["history"]]
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
