"""A bundle on any landmarks: how good, how sure, how fast, and whether better than another.

Shape suffixes: N clips, T frames, K classes.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow import evaluation
from sigflow.bundle import Manifest, PrecisionName, read_bundle
from sigflow.data.clips import Clips, load_clips
from sigflow.decoding import BLANK, ctc_greedy
from sigflow.errors import UserError
from sigflow.experiments.compare import accuracy_difference, wer_difference
from sigflow.metrics import edit_distance, f1_difference, risk_coverage, transcribed, wer_interval
from sigflow.pipelines.material import clip_inputs, headed
from sigflow.pipelines.progress import Progress
from sigflow.predictor import Predictor
from sigflow.report.charts import confusion_matrix, reliability_diagram, risk_coverage_curve, subject_bars
from sigflow.runs import predictions_table
from sigflow.storage import Location

BATCH = 64
_TIMED = 200  # clips that are also asked about one at a time


@dataclass(frozen=True)
class Scored:
    """What a bundle said of each clip: classes, or glosses. Of sentences no frame's probabilities are kept.

    `confidence_N`: probability of the class; of sentences the geometric mean over frames of the likeliest class's.
    """

    given: Sequence[Sequence[int]]
    confidence_N: np.ndarray
    probs: Sequence[np.ndarray]
    blanks: float


def evaluate(
    bundle: Location,
    data: Location,
    out: Location,
    *,
    against: Location | None = None,
    precision: PrecisionName = "fp32",
) -> dict[str, Any]:
    """Score the bundle on the labelled clips of `data`; write predictions.parquet, pictures and metrics.json to `out`.

    Clips without a label, or with one that the bundle (or `against`, whose fp32 graph is the other side of the test)
    does not know, are counted and left out.

    Raises:
        UserError: no such bundle, precision or landmarks, nothing left to score, or two bundles that answer
            differently (classes and sentences).
    """
    loaded = read_bundle(bundle, precision)
    other = read_bundle(against) if against else None
    manifest = loaded.manifest
    if other and other.manifest.task != manifest.task:
        raise UserError(f"{bundle} answers with {manifest.task}, {against} with {other.manifest.task}")
    sentences = manifest.task == "sentences"
    parts = {*manifest.parts, *(other.manifest.parts if other else ())}
    clips = load_clips(data, parts, mixed=True)
    warned = _warnings(clips, [each.manifest for each in (loaded, other) if each])
    names = [
        list(value or ()) if sentences else [value] if value is not None else []
        for value in clips.table["glosses" if sentences else "label"].to_pylist()
    ]
    known = set(manifest.labels) & set(other.manifest.labels if other else manifest.labels)
    rows = [row for row, words in enumerate(names) if words and known.issuperset(words)]
    unknown = Counter(word for words in names for word in words if word not in known)
    left_out = {"without_label": sum(not words for words in names), "unknown_labels": dict(unknown.most_common())}
    answer = headed(bundle, manifest, precision, data, rows, left_out)
    predictor = Predictor(loaded)
    scored = _score(predictor, clips, rows, f"evaluate {manifest.name}")
    table, metrics = _measured(scored, manifest.labels, clips, rows, [names[row] for row in rows])
    answer |= {"warnings": warned, "latency_ms": _latency(predictor, clips, rows)}
    if other and against:
        theirs = _score(Predictor(other), clips, rows, f"evaluate {other.manifest.name}")
        labels = (other.manifest.labels, manifest.labels)
        answer["against"] = {"bundle": against.uri, "version": other.manifest.version} | _compared(
            theirs, scored, labels, [names[row] for row in rows], _taken(clips, "subject", rows)
        )
    (out / "predictions.parquet").write_parquet(table)
    for name, picture in _pictures(metrics, manifest.labels, sentences=sentences).items():
        (out / f"{name}.png").write_bytes(picture)
    (out / "metrics.json").write_text(json.dumps(answer | {"metrics": metrics}, indent=1))  # last: it is complete
    headline = ("accuracy", "macro_f1", "wer", "blank_ratio", "ece")
    told = {name: metrics[name] for name in headline if name in metrics}
    return answer | told | {"aurc": metrics["risk_coverage"]["aurc"], "out": out.uri}


def _warnings(clips: Clips, manifests: Sequence[Manifest]) -> list[str]:
    makers = sorted({str(maker) for maker in clips.column("extractor")})
    found = [
        f"{manifest.name} was trained on landmarks of another extractor ({manifest.extractor}) than these "
        f"({'; '.join(makers[:3])}): figures may say more of that than of the model"
        for manifest in manifests
        if makers != [manifest.extractor]
    ]
    for line in found:
        print(f"warning: {line}", file=sys.stderr)
    return found


def _score(predictor: Predictor, clips: Clips, rows: Sequence[int], title: str) -> Scored:
    sentences = predictor.manifest.task == "sentences"
    given: list[list[int]] = []
    confidence: list[float] = []
    kept: list[np.ndarray] = []
    blanks = frames = 0
    progress = Progress(title, len(rows), "clips")
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        for probs in predictor.predict(clip_inputs(clips, batch)):
            if sentences:
                given.append(ctc_greedy(probs))
                confidence.append(float(np.exp(np.log(probs.max(1)).mean())))
                blanks += int((probs.argmax(1) == BLANK).sum())
                frames += len(probs)
            else:
                given.append([int(probs.argmax())])
                confidence.append(float(probs.max()))
                kept.append(probs)
        progress.advance(len(batch))
    return Scored(given, np.array(confidence), kept, blanks / max(frames, 1))


def _measured(
    scored: Scored, labels: Sequence[str], clips: Clips, rows: Sequence[int], names: Sequence[Sequence[str]]
) -> tuple[pa.Table, dict[str, Any]]:
    """The table of predictions, and all figures."""
    sentences, subjects = not scored.probs, _taken(clips, "subject", rows)
    ids = _taken(clips, "clip_id", rows)
    words = [" ".join(sentence) for sentence in names]
    said = [" ".join(labels[k] for k in answer) for answer in scored.given]
    right_N = np.array([mine == theirs for mine, theirs in zip(said, words, strict=True)])
    table = pa.table(
        {
            "clip_id": ids, "label": words, "subject": pa.array(subjects, pa.string()), "given": said,
            "right": right_N, "confidence": pa.array(scored.confidence_N, pa.float32()),
        }
    )  # fmt: skip
    if sentences:
        index = {label: k for k, label in enumerate(labels)}
        true = [[index[name] for name in sentence] for sentence in names]
        metrics = transcribed(scored.given, true, labels, subjects, blanks=scored.blanks)
        edits = [edit_distance(theirs, mine) for theirs, mine in zip(true, scored.given, strict=True)]
        metrics["intervals"] = wer_interval(edits, [len(sentence) for sentence in true], subjects)
        table = table.append_column("edits", pa.array(edits, pa.int32()))
    else:
        answers = predictions_table(ids, -1, words, subjects, scored.probs)
        metrics = evaluation.measure(answers, labels, sentences=False)
        metrics["intervals"] = evaluation.intervals(answers, labels, sentences=False)
        table = table.append_column("probs", answers["probs"])
    metrics["risk_coverage"] = risk_coverage(scored.confidence_N, ~right_N)
    return table, metrics


def _compared(
    first: Scored,
    other: Scored,
    labels: tuple[Sequence[str], Sequence[str]],
    names: Sequence[Sequence[str]],
    subjects: Sequence[str | None],
) -> dict[str, Any]:
    """`first`: the bundle that this one is compared with; differences are this one's figures minus its."""
    index = {label: k for k, label in enumerate(dict.fromkeys((*labels[0], *labels[1])))}
    true = [[index[name] for name in sentence] for sentence in names]
    mine, theirs = (
        [[index[known[k]] for k in answer] for answer in scored.given]
        for scored, known in ((other, labels[1]), (first, labels[0]))
    )
    if not other.probs:
        edits = [[edit_distance(a, b) for a, b in zip(true, given, strict=True)] for given in (theirs, mine)]
        return {"tests": [wer_difference(edits[0], edits[1], [len(sentence) for sentence in true], subjects)]}
    true_N, first_N, other_N = (np.array(each)[:, 0] for each in (true, theirs, mine))
    return {
        "tests": [
            accuracy_difference(first_N == true_N, other_N == true_N, subjects),
            f1_difference(true_N, first_N, other_N, len(index), subjects),
        ]
    }


def _latency(predictor: Predictor, clips: Clips, rows: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of single clips, asked about one after the other in one thread."""
    chosen = rows[:: max(1, len(rows) // _TIMED)][:_TIMED]
    inputs = clip_inputs(clips, chosen)
    predictor.predict(inputs[:1])  # the first one also sets up memory
    seconds = []
    for clip in inputs:
        started = time.perf_counter()
        predictor.predict([clip])
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    return {"p50": round(1000 * float(p50), 3), "p99": round(1000 * float(p99), 3), "clips": len(inputs), "threads": 1}


def _pictures(metrics: Mapping[str, Any], labels: Sequence[str], *, sentences: bool) -> dict[str, bytes]:
    figure = "wer" if sentences else "accuracy"
    shown = {"risk_coverage": risk_coverage_curve(metrics["risk_coverage"])}
    if len(metrics["per_subject"]) > 1:
        shown["subjects"] = subject_bars(metrics["per_subject"], figure, metrics[figure])
    if not sentences:
        shown["confusion"] = confusion_matrix(metrics["confusion"], labels, f"accuracy {metrics['accuracy']:.3f}")
        shown["reliability"] = reliability_diagram(metrics["reliability"], metrics["ece"])
    return shown


def _taken(clips: Clips, name: str, rows: Sequence[int]) -> list[Any]:
    return clips.table[name].take(pa.array(rows, pa.int64())).to_pylist()
