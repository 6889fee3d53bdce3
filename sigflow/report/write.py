"""A finished run's report and model card."""

from collections.abc import Sequence

import numpy as np

from sigflow.data.clips import Clips
from sigflow.decoding import ctc_greedy
from sigflow.evaluation import frame_probs
from sigflow.metrics import edit_distance
from sigflow.report.card import model_card
from sigflow.report.charts import confusion_matrix, reliability_diagram, subject_bars
from sigflow.report.curves import loss_curves
from sigflow.report.html import Picture
from sigflow.report.material import Material, read_material
from sigflow.report.page import Mistake, page
from sigflow.report.ranked import ranking_curves
from sigflow.report.wrong import draw_clip, surest_mistakes
from sigflow.storage import Location
from sigflow.topology import PARTS

MISTAKES = 8


def write_report(place: Location, clips: Clips | None = None, findings: Sequence[str] = ()) -> Location:
    """Write `place`/report/index.html and model_card.md of the finished run `place`; give the HTML's place.

    `clips`: those that it was trained on, so that mistakes are drawn. `findings`: what was found of data or training,
    one line each, said in both.

    Raises:
        UserError: the run is not finished.
    """
    material = read_material(place, findings)
    probs = frame_probs(material.oof, material.run.labels, sentences=material.sentences)
    mistakes = (_wrong_sentences if material.sentences else _wrong_clips)(material, probs, clips)
    html = page(material, _pictures(material, probs), mistakes)
    (place / "report" / "model_card.md").write_text(model_card(material))
    (place / "report" / "index.html").write_text(html)
    return place / "report" / "index.html"


def _pictures(material: Material, probs: Sequence[np.ndarray]) -> dict[str, Picture]:
    run, metrics = material.run, material.metrics
    name = "wer" if material.sentences else "accuracy"
    people = metrics["per_subject"]
    shown = {"curves": ("Loss and other figures over epochs", loss_curves(material.history, material.best_epochs))}
    if len(people) > 1:
        shown["subjects"] = (f"A bar for each subject: {name}", subject_bars(people, name, metrics[name]))
    if material.sentences:
        return shown
    probs_NK = np.stack(probs)
    title = "out-of-fold clips"
    shown["confusion"] = ("Confusion matrix", confusion_matrix(metrics["confusion"], run.labels, title))
    shown["reliability"] = (
        "Accuracy over the probability of the answer",
        reliability_diagram(metrics["reliability"], metrics["ece"]),
    )
    if (curves := ranking_curves(probs_NK, _true(material), run.labels)) is not None:
        shown["ranking"] = ("ROC and precision-recall curves", curves)
    return shown


def _wrong_clips(material: Material, probs: Sequence[np.ndarray], clips: Clips | None) -> list[Mistake]:
    labels, probs_NK, true_N = material.run.labels, np.stack(probs), _true(material)
    found: list[Mistake] = []
    for row in surest_mistakes(probs_NK, true_N, MISTAKES):
        given = int(probs_NK[row].argmax())
        title = f"{labels[true_N[row]]} taken for {labels[given]}"
        chances = f"probability {probs_NK[row, given]:.3f}, of the true one {probs_NK[row, true_N[row]]:.3f}"
        found.append(_mistake(material, row, title, chances, clips))
    return found


def _wrong_sentences(material: Material, probs: Sequence[np.ndarray], clips: Clips | None) -> list[Mistake]:
    labels = material.run.labels
    true = [sentence.split(" ") for sentence in material.oof["label"].to_pylist()]
    given = [[labels[k] for k in ctc_greedy(frames_TK)] for frames_TK in probs]
    index = {name: number for number, name in enumerate({*labels, *(name for words in true for name in words)})}
    edits = [
        edit_distance([index[name] for name in a], [index[name] for name in b])
        for a, b in zip(true, given, strict=True)
    ]
    worst = sorted((row for row in range(len(edits)) if edits[row]), key=lambda row: (-edits[row], len(true[row]), row))
    return [
        _mistake(
            material, row, f"{' '.join(true[row])} → {' '.join(given[row]) or '(nothing)'}",
            f"{edits[row]} errors in {len(true[row])} glosses", clips,
        )
        for row in worst[:MISTAKES]
    ]  # fmt: skip


def _mistake(material: Material, row: int, title: str, details: str, clips: Clips | None) -> Mistake:
    clip_id, subject = material.oof["clip_id"][row].as_py(), material.oof["subject"][row].as_py()
    told = f"{details}; {subject or 'unknown subject'}, {clip_id}"
    rows = [] if clips is None else [i for i, other in enumerate(clips.column("clip_id")) if other == clip_id]
    if clips is None or not rows or not clips.parts.keys() & PARTS.keys():
        return title, told, None
    drawn = draw_clip(clips, rows[0])
    return title, f"{told}; seen in {drawn.seen} of {drawn.frames} frames", drawn.picture


def _true(material: Material) -> np.ndarray:
    index = {label: k for k, label in enumerate(material.run.labels)}
    return np.array([index[label] for label in material.oof["label"].to_pylist()])
