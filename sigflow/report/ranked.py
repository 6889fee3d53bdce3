"""ROC and precision-recall curves (scikit-learn).

Shape suffixes: N clips, K classes.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from sigflow.metrics.classes import POSITIVE
from sigflow.metrics.ranking import ranking
from sigflow.report.style import BLUE, GREY, INK, ORANGE, new_figure, plain, png, shortened

_NAMED = 3  # classes whose curve is the lowest


def ranking_curves(probs_NK: np.ndarray, true_N: np.ndarray, labels: Sequence[str]) -> bytes | None:
    """Of two classes the second one's curves; of more each class's against the rest, the lowest ones named.

    None: no class has clips of both kinds.
    """
    ranked = ranking(probs_NK, true_N)
    drawn = [k for k in range(len(labels)) if not np.isnan(ranked.roc_auc_K[k])]
    if len(labels) == 2:
        drawn = [k for k in drawn if k == POSITIVE]
    if not drawn:
        return None
    figure = new_figure(9.6, 4.6)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    whose = f"of {shortened(labels[POSITIVE])}" if len(labels) == 2 else "mean over classes"
    plain(left, f"ROC: area {ranked.roc_auc:.3f}, {whose}", x="false positives", y="true positives")
    plain(right, f"average precision {ranked.average_precision:.3f}, {whose}", x="recall", y="precision")
    for axis, scores_K in ((left, ranked.roc_auc_K), (right, ranked.average_precision_K)):
        worst = sorted(drawn, key=lambda k: scores_K[k])[:_NAMED] if len(drawn) > 1 else []
        for k in drawn:
            x, y = _curve(axis is left, true_N == k, probs_NK[:, k])
            colour = BLUE if len(drawn) == 1 else ORANGE if k in worst else GREY
            axis.plot(
                x, y, color=colour, linewidth=1.5 if len(drawn) == 1 else 1 if k in worst else 0.5,
                zorder=2.5 if k in worst else 2,
                drawstyle="default" if axis is left else "steps-post",  # between two thresholds nothing can be reached
            )  # fmt: skip
        if worst:
            listed = ", ".join(f"{shortened(labels[k], 14)} {scores_K[k]:.3f}" for k in worst)
            axis.text(
                0, -0.17, f"orange, lowest of {len(drawn)}: {listed}", transform=axis.transAxes, fontsize=8, color=INK,
                va="top",
            )  # fmt: skip
        axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    return png(figure)


def _curve(roc: bool, is_N: np.ndarray, score_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if roc:
        return roc_curve(is_N, score_N)[:2]
    precision, recall, _ = precision_recall_curve(is_N, score_N)
    return recall, precision
