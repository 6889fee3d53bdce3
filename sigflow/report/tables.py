"""The report's and the card's tables: headers, and rows of text."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from sigflow.evaluation import SPREAD
from sigflow.recipes.recipe import AT_MOST
from sigflow.report.material import NAMES, Material

Table = tuple[Sequence[str], list[Sequence[str]]]
_PAIRS = 15


def number(value: float | None) -> str:
    """Three decimals, or a dash where nothing can be said."""
    return "–" if value is None else f"{value:.3f}"


def gates_table(material: Material) -> Table:
    """Each gate: wanted, reached, passed or missed."""
    rows: list[Sequence[str]] = []
    for name, gate in material.metrics["gates"].items():
        wanted = f"at {'most' if name in AT_MOST else 'least'} {gate['target']:g}"
        value = "not measured" if gate["value"] is None else number(gate["value"])
        rows.append((NAMES[name], wanted, value, "passed" if gate["passed"] else "missed"))
    return ("gate", "wanted", "reached", ""), rows


def figures_table(material: Material) -> Table:
    """Each figure over all clips, its interval where one was made, mean and sd over folds, worst and best fold."""
    metrics = material.metrics
    rows: list[Sequence[str]] = []
    for name in SPREAD:
        if name not in metrics["spread"] or (name == "f1" and metrics["positive"] is None):  # of more: macro_f1
            continue
        spread, interval = metrics["spread"][name], metrics["intervals"].get(name)
        known = [value for value in spread["folds"] if value is not None]
        rows.append(
            (
                _whose(name, material), number(metrics[name]),
                f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "",
                f"{spread['mean']:.3f} (sd {spread['std']:.3f})", f"{min(known):.3f} to {max(known):.3f}",
            )
        )  # fmt: skip
    return ("figure", "all clips", "95 % interval", "mean of folds", "folds"), rows


def _whose(name: str, material: Material) -> str:
    if material.sentences:
        return "sentences right in full" if name == "accuracy" else NAMES[name]
    if name not in ("precision", "recall", "f1", "roc_auc", "average_precision"):
        return NAMES[name]
    positive = material.metrics["positive"]
    return f"{NAMES[name]}, mean of classes" if positive is None else f"{NAMES[name]} of {positive}"


def classes_table(material: Material) -> Table:
    """Each class, or gloss, the worst first."""
    metrics = material.metrics
    if material.sentences:
        glosses = sorted(metrics["per_gloss"].items(), key=lambda item: (-(item[1]["error_rate"] or 0), item[0]))
        kinds = ("clips", "right", "substituted", "deleted", "inserted")
        return (
            ("gloss", "signed", *kinds[1:], "share wrong"),
            [(name, *(f"{v[kind]:,}" for kind in kinds), number(v["error_rate"])) for name, v in glosses],
        )
    classes = sorted(metrics["per_class"].items(), key=lambda item: (item[1]["f1"] or 0, item[0]))
    kinds = ("precision", "recall", "f1", "roc_auc", "average_precision")
    return (
        ("class", "clips", *(NAMES[kind] for kind in kinds)),
        [(name, f"{v['clips']:,}", *(number(v[kind]) for kind in kinds)) for name, v in classes],
    )


def confusions_table(material: Material) -> Table:
    """The commonest confusions."""
    metrics, labels = material.metrics, material.run.labels
    if material.sentences:
        header: Sequence[str] = ("signed", "answered", "times")
        return header, [(pair["true"], pair["given"], str(pair["times"])) for pair in metrics["confused"][:_PAIRS]]
    counts_KK = np.array(metrics["confusion"])
    clips_K = counts_KK.sum(1)
    np.fill_diagonal(counts_KK, 0)
    order = np.argsort(-counts_KK, axis=None, kind="stable")[:_PAIRS]
    rows: list[Sequence[str]] = []
    for true, given in zip(*np.unravel_index(order, counts_KK.shape), strict=True):
        if count := counts_KK[true, given]:
            rows.append((labels[true], labels[given], str(count), f"{100 * count / clips_K[true]:.0f} %"))
    return ("true", "answered", "times", "of the class"), rows


def data_table(material: Material, by: Literal["label", "subject"]) -> Table:
    """Measured clips of each label or subject, and of how many of the other."""
    other = {"label": "subject", "subject": "label"}[by]
    pairs = [(row[by] or "unknown", row[other]) for row in material.oof.select([by, other]).to_pylist()]
    counts = Counter(name for name, _ in pairs)
    rows: list[Sequence[str]] = []
    for name in sorted(counts, key=lambda name: (not name.isdecimal(), len(name) if name.isdecimal() else 0, name)):
        distinct = len({value for key, value in pairs if key == name})
        rows.append((name, f"{counts[name]:,}", *([] if material.sentences else [str(distinct)])))
    if material.sentences:
        return (by, "sentences"), rows
    return (by, "clips", f"{other}s"), rows


def folds_table(material: Material) -> Table:
    """Clips that each fold trains, stops and tests on, and the epoch that was kept."""
    parts = ("train", "stop", "test")
    rows: list[Sequence[str]] = [
        (str(k), *(f"{material.roles.get((k, part), 0):,}" for part in parts), str(material.best_epochs[k]))
        for k in range(material.run.num_folds)
    ]
    return ("fold", *parts, "best epoch"), rows
