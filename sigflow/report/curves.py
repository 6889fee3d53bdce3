"""What every epoch of every fold was like: history.csv, drawn."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sigflow.report.style import BLUE, INK, ORANGE, new_figure, plain, png

# Columns of history.csv that are drawn where they exist, the training part's beside the stop part's.
_NAMES = {
    "loss": "loss", "accuracy": "accuracy", "macro_f1": "macro-F1", "wer": "word error rate",
    "distinct_predicted": "different answers", "top_share": "share of the commonest answer",
    "entropy": "entropy of the answers", "blank_ratio": "share of blank frames", "grad_norm": "gradient norm",
    "lr": "learning rate",
}  # fmt: skip
_COLUMNS = 3
_APART = 0.08  # of the axis: nearer, two names would cover each other


def loss_curves(history: Sequence[Mapping[str, Any]], best_epochs: Mapping[int, int] | None = None) -> bytes:
    """A panel for each figure, a thin line for each fold (and member): training blue, stop part orange.

    `history`: rows of history.csv. `best_epochs` by fold: a point marks the epoch whose weights are kept. The lowest
    and the highest fold at the end are named, where they differ.
    """
    shown = [name for name in _NAMES if any(_known(row, name) or _known(row, f"stop_{name}") for row in history)]
    rows = -(-len(shown) // _COLUMNS)
    height = 2.5 * rows + 0.3
    figure = new_figure(10.0, height, header=0.25)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for axis, name in zip(axes, shown, strict=False):
        for column, colour in ((name, BLUE), (f"stop_{name}", ORANGE)):
            _draw(axis, history, column, colour, best_epochs or {})
        plain(axis, _NAMES[name], x="epoch")
        for whole in (axis.xaxis, *([axis.yaxis] if name == "distinct_predicted" else [])):
            whole.get_major_locator().set_params(integer=True)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for x, words, colour in ((0.90, "training", BLUE), (0.99, "stop part", ORANGE)):
        figure.text(x, 1 - 0.04 / height, words, color=colour, ha="right", va="top", fontsize=9, weight="bold")
    return png(figure)


def _draw(axis: Any, history: Sequence[Mapping[str, Any]], column: str, colour: str, best: Mapping[int, int]) -> None:
    lines: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for row in history:
        if _known(row, column):
            key = (int(row["fold"]), str(row.get("member") or ""))
            lines.setdefault(key, []).append((float(row["epoch"]), float(row[column])))
    for (fold, member), points in lines.items():
        x, y = zip(*points, strict=True)
        axis.plot(x, y, color=colour, linewidth=1, marker="." if len(x) == 1 else "")
        if fold in best and not member and colour == ORANGE:
            axis.plot(*zip(*[p for p in points if p[0] == best[fold]], strict=True), "o", color=colour, markersize=4)
    if colour == ORANGE and len(lines) > 1 and not any(member for _, member in lines):
        ends = sorted((points[-1][1], fold, points[-1][0]) for (fold, _), points in lines.items())
        low, high = axis.get_ylim()
        if ends[-1][0] - ends[0][0] > _APART * (high - low):
            for value, fold, epoch in (ends[0], ends[-1]):
                axis.annotate(
                    f"fold {fold}", (epoch, value), (3, 0), textcoords="offset points", fontsize=7, color=INK,
                    va="center",
                )  # fmt: skip


def _known(row: Mapping[str, Any], column: str) -> bool:
    value = row.get(column)
    return value not in (None, "") and math.isfinite(float(value))
