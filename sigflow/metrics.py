"""How good predictions are, from probabilities and true classes alone (numpy).

Shape suffixes: N clips, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sigflow.decoding import BLANK, ctc_greedy


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
    """Mean F1 over the classes that occur or are predicted."""
    return float(np.nanmean(f1_per_class(confusion(true_N, predicted_N, num_classes))))


def classification(
    probs_NK: np.ndarray, true_N: np.ndarray, labels: Sequence[str], subjects: Sequence[str | None]
) -> dict[str, Any]:
    """Accuracy, macro-F1, loss, per class (F1, recall, clips) and per subject (accuracy, clips), as plain JSON."""
    predicted_N = probs_NK.argmax(1)
    counts = confusion(true_N, predicted_N, len(labels))
    f1_K = f1_per_class(counts)
    right_N = predicted_N == true_N
    names = np.array(["unknown" if subject is None else subject for subject in subjects])
    return {
        "clips": len(true_N),
        "accuracy": float(right_N.mean()),
        "macro_f1": float(np.nanmean(f1_K)),
        "log_loss": float(-np.log(probs_NK[np.arange(len(true_N)), true_N].clip(1e-12)).mean()),
        "distinct_predicted": len(set(predicted_N.tolist())),
        "per_class": {
            label: {
                "f1": _json(f1_K[k]),
                "recall": _json(counts[k, k] / max(counts[k].sum(), 1)),
                "clips": int(counts[k].sum()),
            }
            for k, label in enumerate(labels)
        },
        "per_subject": {
            name: {"accuracy": float(right_N[names == name].mean()), "clips": int((names == name).sum())}
            for name in sorted(set(names.tolist()))
        },
        "confusion": counts.tolist(),
    }


def transcription(
    probs: Sequence[np.ndarray],
    true: Sequence[Sequence[int]],
    labels: Sequence[str],
    subjects: Sequence[str | None],
) -> dict[str, Any]:
    """Of sentences decoded greedily: WER, whole sentences right, per subject, the share of blanks, as plain JSON."""
    given = [ctc_greedy(frames_NK) for frames_NK in probs]
    names = ["unknown" if subject is None else subject for subject in subjects]
    right = [mine == list(theirs) for mine, theirs in zip(given, true, strict=True)]
    per_subject = {}
    for name in sorted(set(names)):
        rows = [i for i, other in enumerate(names) if other == name]
        wer = word_error_rate([true[i] for i in rows], [given[i] for i in rows])
        per_subject[name] = {"accuracy": max(0.0, 1 - wer), "wer": wer, "clips": len(rows)}
    return {
        "clips": len(given),
        "wer": word_error_rate(true, given),
        "accuracy": float(np.mean(right)),
        "blank_ratio": blank_ratio(probs),
        "distinct_predicted": len({gloss for sentence in given for gloss in sentence}),
        "glosses": len(labels) - 1,
        "per_subject": per_subject,
    }


def word_error_rate(true: Sequence[Sequence[int]], given: Sequence[Sequence[int]]) -> float:
    """Substitutions, insertions and deletions over the number of true glosses, pooled over all sentences."""
    errors = sum(edit_distance(theirs, mine) for theirs, mine in zip(true, given, strict=True))
    return errors / max(sum(map(len, true)), 1)


def edit_distance(true: Sequence[int], given: Sequence[int]) -> int:
    """Least number of substitutions, insertions and deletions (Levenshtein 1966)."""
    row = list(range(len(given) + 1))
    for i, theirs in enumerate(true, 1):
        before, row[0] = row[0], i
        for j, mine in enumerate(given, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (theirs != mine))
    return row[-1]


def blank_ratio(probs: Sequence[np.ndarray]) -> float:
    """Share of frames whose likeliest class is the blank; near 1: the model says nothing at all."""
    return float(np.concatenate([frames_NK.argmax(1) == BLANK for frames_NK in probs]).mean())


def worst_subject(metrics: dict[str, Any]) -> dict[str, Any]:
    """The subject with the lowest accuracy: subject, accuracy, clips."""
    name, values = min(metrics["per_subject"].items(), key=lambda item: (item[1]["accuracy"], item[0]))
    return {"subject": name, **values}


def _json(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
