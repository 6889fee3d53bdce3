"""Where a run's answers are right and wrong: confusion, subjects, calibration; PNG bytes.

Shape suffixes: K classes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sigflow.report.style import BLUE, GREY, INK, ORANGE, new_figure, plain, png, shortened

_MOST_NAMES = 60  # on an axis: more cannot be read
_MOST_COUNTS = 40
_MOST_BARS = 40


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str], title: str) -> bytes:
    """Counts (K, K), row: true class, column: predicted; shade: share of the true class. Counts where there is room."""
    counts_KK = np.array(counts)
    share_KK = counts_KK / np.maximum(counts_KK.sum(1, keepdims=True), 1)
    size = len(labels)
    cell = 0.55 if size <= 12 else 0.28 if size <= _MOST_COUNTS else 0.16 if size <= _MOST_NAMES else 9 / size
    side = 1.8 + cell * size
    figure = new_figure(max(side + 0.6, 4.5), max(side, 3.6))
    axis = figure.subplots()
    picture = axis.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
    if size <= _MOST_COUNTS:
        for (row, column), count in np.ndenumerate(counts_KK):
            if count:
                axis.text(
                    column, row, str(count), ha="center", va="center", fontsize=9 if size <= 12 else 6,
                    color="white" if share_KK[row, column] > 0.5 else INK,
                )  # fmt: skip
    axis.set_title(title, loc="left", fontsize=10)
    axis.set_xlabel("predicted", fontsize=9)
    axis.set_ylabel("true", fontsize=9)
    step = 1 if size <= _MOST_NAMES else 5
    names = [shortened(label) for label in labels[::step]]
    letters = 8 if size <= 12 else 7 if size <= _MOST_COUNTS else 6
    axis.set_xticks(
        range(0, size, step), names, rotation=90 if size > 12 else 45, ha="center" if size > 12 else "right"
    )
    axis.set_yticks(range(0, size, step), names)
    axis.tick_params(labelsize=letters, length=2)
    for spine in axis.spines.values():
        spine.set_color(GREY)
    bar = figure.colorbar(picture, ax=axis, shrink=0.6, pad=0.02)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return png(figure)


def subject_bars(per_subject: Mapping[str, Mapping[str, Any]], figure_name: str, pooled: float) -> bytes:
    """A bar for each subject, the worst on top (of many: those alone), with its clips; a line at the figure over all.

    `figure_name`: accuracy or wer.
    """
    falling = figure_name == "wer"
    order = sorted(per_subject, key=lambda name: (per_subject[name][figure_name], name), reverse=falling)
    order = order[:_MOST_BARS]
    values = [per_subject[name][figure_name] for name in order]
    figure = new_figure(7.5, 0.9 + 0.26 * len(order))
    axis = figure.subplots()
    axis.barh(range(len(order)), values, color=[ORANGE, *[BLUE] * (len(order) - 1)], height=0.7)
    for place, name in enumerate(order):
        clips = per_subject[name]["clips"]
        text = f"{values[place]:.3f}, {clips:,} clip{'' if clips == 1 else 's'}"
        axis.text(1.01, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize=8)
    axis.axvline(pooled, color=INK, linewidth=1, linestyle="--")
    axis.annotate(
        f"all {pooled:.3f}", (pooled, 1), (0, 3), textcoords="offset points", xycoords=axis.get_xaxis_transform(),
        ha="center", va="bottom", fontsize=8, annotation_clip=False,
    )  # fmt: skip
    few = f"the {len(order)} worst of {len(per_subject)} subjects" if len(order) < len(per_subject) else ""
    plain(axis, few, x="word error rate" if falling else "accuracy")
    axis.grid(visible=False, axis="y")
    axis.set_yticks(range(len(order)), [shortened(name, 30) for name in order])
    axis.set(xlim=(0, max(1.0, *values)), ylim=(len(order) - 0.4, -0.6))
    return png(figure)


def reliability_diagram(bins: Sequence[Mapping[str, Any]], ece: float) -> bytes:
    """Accuracy over confidence in each bin, and how many clips each bin has; on the diagonal: as sure as right."""
    figure = new_figure(4.6, 4.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy = ([b[name] for b in bins] for name in ("confidence", "accuracy"))
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    upper.plot(confidence, accuracy, "o-", color=BLUE, markersize=4, linewidth=1.2)
    upper.text(0.03, 0.97, "above: too modest", fontsize=8, color=INK, va="top")
    upper.text(0.97, 0.03, "below: too sure", fontsize=8, color=INK, ha="right")
    plain(upper, f"expected calibration error {ece:.3f}", y="share that is right")
    upper.set(xlim=(0, 1), ylim=(0, 1.02))
    width = bins[0]["to"] - bins[0]["from"]
    lower.bar([b["from"] for b in bins], [b["clips"] for b in bins], width, align="edge", color=BLUE, edgecolor="white")
    plain(lower, x="probability of the answer", y="clips")
    return png(figure)


def risk_coverage_curve(risk: Mapping[str, Any]) -> bytes:
    """How many answers are wrong when only the surest are given, over the share that is given."""
    figure = new_figure(5.2, 3.6)
    axis = figure.subplots()
    coverage, wrong = ([point[name] for point in risk["curve"]] for name in ("coverage", "risk"))
    axis.plot(coverage, wrong, color=BLUE, linewidth=1.4)
    plain(axis, f"area under the curve {risk['aurc']:.4f}", x="share that is answered", y="share that is wrong")
    axis.set(xlim=(0, 1), ylim=(0, max(0.02, 1.1 * max(wrong))))
    return png(figure)
