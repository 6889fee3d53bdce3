"""What a table of predictions says: all figures over all clips, their spread over folds, and intervals.

Everything comes from the table alone (clip_id, fold, label, subject, probs, and duration_s where it is known), so that
it can be worked out again at any time.
Shape suffixes: N clips, T frames, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigflow.decoding import ctc_greedy
from sigflow.metrics import class_intervals, classification, edit_distance, reliability, transcription, wer_interval
from sigflow.metrics.classes import POSITIVE
from sigflow.metrics.ranking import ranking
from sigflow.schema import decode_frames

# Figures with a mean and a spread over folds.
SPREAD = (
    "accuracy", "macro_f1", "precision", "recall", "f1", "roc_auc", "average_precision", "top_3", "top_5", "ece",
    "log_loss", "false_alarms_per_hour", "wer", "blank_ratio",
)  # fmt: skip


def measure(predictions: pa.Table, labels: Sequence[str], *, sentences: bool) -> dict[str, Any]:
    """Figures once over all rows, pooled, as plain JSON."""
    subjects = predictions["subject"].to_pylist()
    if sentences:
        return transcription(
            frame_probs(predictions, labels, sentences=True), _true(predictions, labels), labels, subjects
        )
    probs_NK, true_N = _classes(predictions, labels)
    metrics = classification(probs_NK, true_N, labels, subjects)
    ranked = ranking(probs_NK, true_N)
    for k, label in enumerate(labels):
        metrics["per_class"][label] |= {
            "roc_auc": _json(ranked.roc_auc_K[k]),
            "average_precision": _json(ranked.average_precision_K[k]),
        }
    return metrics | {
        "roc_auc": _json(ranked.roc_auc),
        "average_precision": _json(ranked.average_precision),
        "reliability": reliability(probs_NK, true_N),
        **_false_alarms(predictions, true_N, probs_NK.argmax(1), labels),
    }


def spread(predictions: pa.Table, labels: Sequence[str], *, sentences: bool) -> dict[str, dict[str, Any]]:
    """Of each figure in `SPREAD`: its value in each fold, mean and population sd; a fold without it is left out."""
    each = []
    for number in sorted(set(predictions["fold"].to_pylist())):
        each.append(measure(predictions.filter(pc.equal(predictions["fold"], number)), labels, sentences=sentences))
    found = {}
    for name in SPREAD:
        values = [fold.get(name) for fold in each]
        if known := [value for value in values if value is not None]:
            found[name] = {"mean": float(np.mean(known)), "std": float(np.std(known)), "folds": values}
    return found


def intervals(predictions: pa.Table, labels: Sequence[str], *, sentences: bool) -> dict[str, Any]:
    """95 % bootstrap intervals of the headline figures, and how they were made; see `metrics.intervals`."""
    subjects = predictions["subject"].to_pylist()
    if not sentences:
        probs_NK, true_N = _classes(predictions, labels)
        return class_intervals(true_N, probs_NK.argmax(1), len(labels), subjects)
    true = _true(predictions, labels)
    given = [ctc_greedy(frames_TK) for frames_TK in frame_probs(predictions, labels, sentences=True)]
    edits = [edit_distance(theirs, mine) for theirs, mine in zip(true, given, strict=True)]
    return wer_interval(edits, [len(sentence) for sentence in true], subjects)


def frame_probs(predictions: pa.Table, labels: Sequence[str], *, sentences: bool) -> list[np.ndarray]:
    """Of each clip: (K,), or (T, K) of its frames where sentences are recognised."""
    values, offsets = decode_frames(predictions["probs"])
    shape = (-1, len(labels)) if sentences else (-1,)
    return [clip.reshape(shape) for clip in np.split(values.astype(np.float32), offsets[1:-1])]


def _classes(predictions: pa.Table, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    index = {label: k for k, label in enumerate(labels)}
    true_N = np.array([index[label] for label in predictions["label"].to_pylist()])
    return np.stack(frame_probs(predictions, labels, sentences=False)), true_N


def _true(predictions: pa.Table, labels: Sequence[str]) -> list[list[int]]:
    """Glosses of each sentence; -1: not learnt."""
    index = {label: k for k, label in enumerate(labels)}
    return [[index.get(name, -1) for name in sentence.split(" ")] for sentence in predictions["label"].to_pylist()]


def _false_alarms(
    predictions: pa.Table, true_N: np.ndarray, predicted_N: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """Of two classes: clips of the first one that are taken for the second, also per hour of such clips."""
    if len(labels) != 2:
        return {}
    negative_N = true_N != POSITIVE
    alarms = int((negative_N & (predicted_N == POSITIVE)).sum())
    durations = predictions["duration_s"].to_pylist() if "duration_s" in predictions.schema.names else [None]
    hours = None if None in durations else float(np.array(durations)[negative_N].sum() / 3600)
    return {
        "false_alarms": alarms,
        "missed": int((~negative_N & (predicted_N != POSITIVE)).sum()),
        "negative_hours": hours,
        "false_alarms_per_hour": alarms / hours if hours else None,
    }


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
