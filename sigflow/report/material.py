"""What the report and the model card are made of, and what both say first."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sigflow import runs
from sigflow.errors import UserError
from sigflow.storage import Location

NAMES = {
    "accuracy": "accuracy", "macro_f1": "macro-F1", "precision": "precision", "recall": "recall", "f1": "F1",
    "roc_auc": "ROC-AUC", "average_precision": "average precision", "top_3": "top-3 accuracy",
    "top_5": "top-5 accuracy", "ece": "calibration error (ECE)", "log_loss": "log loss",
    "false_alarms_per_hour": "false alarms per hour", "wer": "word error rate (WER)",
    "blank_ratio": "share of blank frames", "worst_subject_accuracy": "accuracy of the worst subject",
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """A finished run, read. `roles`: clips by role and fold, the holdout as fold -1."""

    run: runs.Run
    metrics: dict[str, Any]
    oof: pa.Table
    history: list[dict[str, str]]
    best_epochs: dict[int, int]
    roles: dict[tuple[int, str], int]
    environment: dict[str, Any] | None
    findings: tuple[str, ...]

    @property
    def sentences(self) -> bool:
        """Whether sentences are recognised."""
        return self.run.recipe.sentences

    @property
    def classes(self) -> int:
        """Classes, or glosses without the blank."""
        return len(self.run.labels) - self.sentences


def read_material(place: Location, findings: Sequence[str]) -> Material:
    """All of a run that is told.

    Raises:
        UserError: the run is not finished, or was by a sigflow that measured less.
    """
    run, oof = runs.read_run(place), runs.read_oof(place)
    metrics = json.loads((place / "metrics.json").read_bytes())
    if "intervals" not in metrics:
        raise UserError(f"{place} was finished by an older sigflow; run jobs/train.py again with --resume")
    roles: dict[tuple[int, str], int] = {}
    counted = (place / "folds.parquet").read_parquet().group_by(["fold", "role"]).aggregate([([], "count_all")])
    for row in counted.to_pylist():
        roles[row["fold"], row["role"]] = row["count_all"]
    made = place / "environment.json"
    return Material(
        run=run,
        metrics=metrics,
        oof=oof,
        history=list(csv.DictReader(io.StringIO((place / "history.csv").read_bytes().decode()))),
        best_epochs={k: runs.read_fold_summary(place, k)["best_epoch"] for k in range(run.num_folds)},
        roles=roles,
        environment=json.loads(made.read_bytes()) if made.exists() else None,
        findings=tuple(findings),
    )


def headline(material: Material) -> str:
    """Whether the gates are passed, in a few words."""
    gates = material.metrics["gates"]
    missed = [NAMES[name] for name, gate in gates.items() if not gate["passed"]]
    if missed and len(gates) == 1:
        return f"Not good enough: the gate is missed ({missed[0]})"
    if not gates:
        return "No gates: the recipe does not say what would be good enough"
    if missed:
        return f"Not good enough: {len(missed)} of {len(gates)} gates missed ({', '.join(missed)})"
    return f"Passed: {'the one gate is' if len(gates) == 1 else f'all {len(gates)} gates are'} reached"


def verdict(material: Material) -> list[str]:
    """What can be said of the run, in sentences: of whom, how well, for whom worst."""
    run, metrics = material.run, material.metrics
    name, clips = run.recipe.score, f"{metrics['clips']:,} {'sentences' if material.sentences else 'clips'}"
    people = len(metrics["per_subject"])
    if run.subject_independent:
        said = [f"Measured on {clips} of {_plural(people, 'subject')}, each by a model that was not trained on them."]
    else:
        said = [
            f"Measured on {clips}. This is not subject-independent: the same person may be trained on and tested, so "
            "nothing is known about new people."
        ]
    low, high = metrics["intervals"][name]
    spread = metrics["spread"][name]
    folds = f", mean of {len(spread['folds'])} folds {spread['mean']:.3f} (sd {spread['std']:.3f})"
    said.append(
        f"{NAMES[name][0].upper()}{NAMES[name][1:]} {metrics[name]:.3f} (95 % interval {low:.3f} to {high:.3f})"
        f"{folds if run.num_folds > 1 else ''}. "
        + (
            f"{percent(metrics['accuracy'])} of sentences are right in full."
            if material.sentences
            else f"{percent(metrics['accuracy'])} of clips are right; naming the commonest class would be right for "
            f"{percent(metrics['commonest_class'])}."
        )
    )
    said += _doubtful(material)
    if people > 1:
        worst = metrics["worst_subject"]
        figure = "WER" if material.sentences else "accuracy"
        said.append(
            f"Worst subject: {worst['subject']}, {figure} {worst[figure.lower()]:.3f} on {worst['clips']} clips."
        )
    return said


def _doubtful(material: Material) -> list[str]:
    metrics, how = material.metrics, material.metrics["intervals"]
    said, given = [], metrics["distinct_predicted"]
    if given < material.classes / 2:
        said.append(f"Collapse: only {given} of {material.classes} classes are ever answered.")
    elif given < material.classes:
        said.append(f"{material.classes - given} of {material.classes} classes are never answered.")
    if material.sentences and metrics["blank_ratio"] > 0.95 and metrics["wer"] > 0.9:
        said.append(f"Blank collapse: {percent(metrics['blank_ratio'])} of frames are blank.")
    if how["says_nothing_of_other_subjects"]:
        said.append("The interval is over clips, as subjects are not known or only one is: other people may do worse.")
    elif how["too_few_units"]:
        said.append(f"The interval is over {how['units']} subjects only: in truth it is likely to be wider.")
    return said


def method(how: dict[str, Any]) -> str:
    """How the intervals were made, in a sentence."""
    return (
        f"{how['level'] * 100:.0f} % intervals: {how['method']}, {how['resamples']:,} resamples of {how['units']:,} "
        f"{how['drawn']}, seed {how['seed']}."
    )


def edits(material: Material) -> str:
    """What the word error rate consists of; nothing for classes."""
    if not material.sentences:
        return ""
    metrics = material.metrics
    return (
        f"Of {metrics['signed_glosses']:,} glosses signed {metrics['deletions']:,} were left out and "
        f"{metrics['substitutions']:,} taken for others; {metrics['insertions']:,} were put in. "
    )


def percent(share: float) -> str:
    """With one decimal."""
    return f"{100 * share:.1f} %"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
