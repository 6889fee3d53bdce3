"""How sure an ensemble may be: one number that makes its probabilities as likely as what happened.

Shape suffixes: N clips, K classes.
"""

import numpy as np
from scipy.optimize import minimize_scalar

from sigflow.metrics import tempered

_LEAST, _MOST = 0.05, 20.0


def fit_temperature(probs_NK: np.ndarray, true_N: np.ndarray) -> float:
    """The temperature under which the right classes are likeliest (least log-loss).

    Every right class counts as right in N + 1 of N + 2 cases, and the likeliest other one as right in the rest: few
    clips, all of which are right, do not make a model infinitely sure.
    Sources: Guo et al. 2017, "On calibration of modern neural networks"; Platt 1999, "Probabilistic outputs for
    support vector machines", for the targets.
    """
    rows_N, doubt = np.arange(len(true_N)), 1 / (len(true_N) + 2)
    others_NK = np.where(np.eye(probs_NK.shape[1], dtype=bool)[true_N], -1.0, probs_NK)
    rival_N = others_NK.argmax(1)

    def loss(log_temperature: float) -> float:
        logs_NK = np.log(tempered(probs_NK, np.exp(log_temperature)).clip(1e-300))
        return -float(((1 - doubt) * logs_NK[rows_N, true_N] + doubt * logs_NK[rows_N, rival_N]).mean())

    # The loss is convex in 1 / temperature, so that it has one minimum.
    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))
