"""One class for each clip: accuracy, F1, precision, recall, by class and by subject.

Shape suffixes: N clips, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigflow.metrics.calibration import calibration_error

TOP = (3, 5)
POSITIVE = 1  # of two classes, as `losses.Focal` and a model with a single logit have it: "Fall" after "ADL"


def confusion(true_N: np.ndarray, predicted_N: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (K, K), row: true class, column: predicted."""
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (true_N, predicted_N), 1)
    return counts


def f1_per_class(confusion_KK: np.ndarray) -> np.ndarray:
    """F1 (K,) = 2 TP / (true + predicted); NaN for a class that neither occurs nor is predicted."""
    total = confusion_KK.sum(0) + confusion_KK.sum(1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, 2 * np.diag(confusion_KK) / total, np.nan)


def macro_f1(true_N: np.ndarray, predicted_N: np.ndarray, num_classes: int) -> float:
    """Mean F1 over the classes that occur.

    One that does not occur has no F1: as 0 it would weigh a single slip as much as a whole class, and a fold that lacks
    half of the classes would be judged by chance (Forman and Scholz 2010, "Apples-to-apples in cross-validation
    studies"). The slip counts all the same, in the class that it should have been.
    """
    return _macro_f1(confusion(true_N, predicted_N, num_classes))


def _macro_f1(confusion_KK: np.ndarray) -> float:
    return float(f1_per_class(confusion_KK)[confusion_KK.sum(1) > 0].mean())


def classification(
    probs_NK: np.ndarray, true_N: np.ndarray, labels: Sequence[str], subjects: Sequence[str | None]
) -> dict[str, Any]:
    """All figures of a set of clips, as plain JSON; None: cannot be said.

    precision, recall, f1: of two classes those of the second one, named in `positive`; of more the means over classes.
    A class that occurs and is never predicted has precision 0; one that does not occur has no recall, and is left out
    of the means of recall and F1. given: how often a class is the answer. top_3, top_5: share of clips whose class is
    among the likeliest, where there are more classes.
    """
    predicted_N = probs_NK.argmax(1)
    counts = confusion(true_N, predicted_N, len(labels))
    occurs_K, chosen_K, right_K = counts.sum(1), counts.sum(0), np.diag(counts)
    f1_K = np.where(occurs_K > 0, f1_per_class(counts), np.nan)
    with np.errstate(invalid="ignore"):
        recall_K = np.where(occurs_K > 0, right_K / occurs_K, np.nan)
        precision_K = np.where(chosen_K > 0, right_K / chosen_K, np.where(occurs_K > 0, 0.0, np.nan))
    right_N = predicted_N == true_N
    names = np.array(["unknown" if subject is None else subject for subject in subjects])
    each = {"precision": precision_K, "recall": recall_K, "f1": f1_K}
    binary = len(labels) == 2
    return {
        "clips": len(true_N),
        "accuracy": float(right_N.mean()),
        "macro_f1": _macro_f1(counts),
        "positive": labels[POSITIVE] if binary else None,
        **{name: _json(float(values[POSITIVE] if binary else np.nanmean(values))) for name, values in each.items()},
        **{f"top_{k}": _top(probs_NK, true_N, k) if len(labels) > k else None for k in TOP},
        "ece": calibration_error(probs_NK, true_N),
        "log_loss": float(-np.log(probs_NK[np.arange(len(true_N)), true_N].clip(1e-12)).mean()),
        "commonest_class": float(occurs_K.max() / len(true_N)),  # what naming it for everything would reach
        "distinct_predicted": len(set(predicted_N.tolist())),
        "per_class": {
            label: {
                **{name: _json(values[k]) for name, values in each.items()},
                "clips": int(occurs_K[k]),
                "given": int(chosen_K[k]),
            }
            for k, label in enumerate(labels)
        },
        "per_subject": {
            name: {"accuracy": float(right_N[names == name].mean()), "clips": int((names == name).sum())}
            for name in sorted(set(names.tolist()))
        },
        "confusion": counts.tolist(),
    }


def worst_subject(metrics: dict[str, Any]) -> dict[str, Any]:
    """The subject with the lowest accuracy: subject, accuracy, clips."""
    name, values = min(metrics["per_subject"].items(), key=lambda item: (item[1]["accuracy"], item[0]))
    return {"subject": name, **values}


def _top(probs_NK: np.ndarray, true_N: np.ndarray, k: int) -> float:
    likeliest_NC = np.argsort(-probs_NK, axis=1, kind="stable")[:, :k]
    return float((likeliest_NC == true_N[:, None]).any(1).mean())


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
