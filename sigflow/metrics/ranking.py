"""How well probabilities put clips of a class before others, whatever the threshold (scikit-learn).

Apart from `sigflow.metrics`, which a serving replica may import without scikit-learn.
Shape suffixes: N clips, K classes.
"""

from typing import NamedTuple

import numpy as np

from sigflow.metrics.classes import POSITIVE


class Ranking(NamedTuple):
    """Of all clips, and of each class against the rest; NaN: no clip of the class, or none of another."""

    roc_auc: float
    average_precision: float
    roc_auc_K: np.ndarray
    average_precision_K: np.ndarray


def ranking(probs_NK: np.ndarray, true_N: np.ndarray) -> Ranking:
    """ROC-AUC and average precision: of two classes for the second one, of more the mean of one against the rest.

    Average precision is the area under the precision-recall curve as steps (scikit-learn's definition).
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # a second that only this need take

    roc_auc_K, precision_K = np.full((2, probs_NK.shape[1]), np.nan)
    for k in range(probs_NK.shape[1]):
        is_N = true_N == k
        if is_N.any() and not is_N.all():
            roc_auc_K[k] = roc_auc_score(is_N, probs_NK[:, k])
            precision_K[k] = average_precision_score(is_N, probs_NK[:, k])
    if probs_NK.shape[1] == 2:
        return Ranking(float(roc_auc_K[POSITIVE]), float(precision_K[POSITIVE]), roc_auc_K, precision_K)
    if np.isnan(roc_auc_K).all():
        return Ranking(np.nan, np.nan, roc_auc_K, precision_K)
    return Ranking(float(np.nanmean(roc_auc_K)), float(np.nanmean(precision_K)), roc_auc_K, precision_K)
