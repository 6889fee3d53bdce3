"""What is gained by answering only when sure: risk over coverage.

Shape suffixes: N clips.
"""

from typing import Any

import numpy as np

_POINTS = 100


def risk_coverage(confidence_N: np.ndarray, wrong_N: np.ndarray) -> dict[str, Any]:
    """The share of wrong answers among the surest ones, for every share that is answered, as plain JSON.

    aurc: area under that curve, the mean risk over all coverages; 0: the surest answers are all right at any coverage.
    curve: up to 100 points of coverage, risk, and threshold (the least confidence that is answered). Clips of equal
    confidence come together, each with their mean risk, so that their order in the data does not matter.
    Source: Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers".
    """
    order_N = np.argsort(-confidence_N, kind="stable")
    sure_N = confidence_N[order_N]
    _, group_N = np.unique(-sure_N, return_inverse=True)
    mean_G = np.bincount(group_N, wrong_N[order_N].astype(float)) / np.bincount(group_N)
    answered_N = np.arange(1, len(sure_N) + 1)
    risk_N = mean_G[group_N].cumsum() / answered_N
    shown = np.unique(np.linspace(0, len(sure_N) - 1, min(_POINTS, len(sure_N))).astype(int))
    return {
        "aurc": float(risk_N.mean()),
        "curve": [
            {
                "coverage": float(answered_N[i] / len(sure_N)),
                "risk": float(risk_N[i]),
                "threshold": float(sure_N[i]),
            }
            for i in shown
        ],
    }
