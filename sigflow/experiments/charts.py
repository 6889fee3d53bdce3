"""The log, drawn; PNG bytes."""

from collections.abc import Sequence
from typing import Any

from sigflow.report.style import BLUE, INK, ORANGE, new_figure, plain, png, shortened

_NAMES = {"macro_f1": "macro-F1", "wer": "word error rate"}
_COLOURS = {"macro_f1": BLUE, "wer": ORANGE}
_MOST_NAMES = 40  # on an axis: more cannot be read
_MOST_POINTS = 15  # with a name: more would cover each other


def runs_chart(rows: Sequence[dict[str, Any]]) -> bytes:
    """Left: the score of each run in the order of `rows`, mean and sd over folds. Right: gap against score.

    Macro-F1 is blue, higher is better; the word error rate is orange, lower is.
    """
    figure = new_figure(max(10.0, 4.5 + 0.25 * min(len(rows), _MOST_NAMES)), 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for score, colour in _COLOURS.items():
        places = [number for number, row in enumerate(rows) if row["score_name"] == score]
        if not places:
            continue
        mine = [rows[number] for number in places]
        means, spreads = ([row[name] for row in mine] for name in ("score_mean", "score_sd"))
        left.errorbar(
            places, means, yerr=spreads, fmt="o", color=colour, ecolor=colour, elinewidth=1, capsize=2, markersize=4,
            label=_NAMES[score],
        )  # fmt: skip
        known = [row for row in mine if row["gap"] is not None]
        right.plot([row["score_mean"] for row in known], [row["gap"] for row in known], "o", color=colour, markersize=4)
        for row in known if len(rows) <= _MOST_POINTS else []:
            right.annotate(
                shortened(row["run"]), (row["score_mean"], row["gap"]), (4, 2), textcoords="offset points",
                fontsize=7, color=INK,
            )  # fmt: skip
    plain(left, "score, mean and sd over folds", y="score")
    plain(right, "overfitting", x="score", y="training accuracy above the stop part's")
    left.legend(fontsize=8, frameon=False)
    step = -(-len(rows) // _MOST_NAMES)
    left.set_xticks(range(0, len(rows), step), [shortened(row["run"]) for row in rows[::step]], rotation=90)
    return png(figure)
