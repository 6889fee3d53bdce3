"""Whether a probability of 0.8 is right 8 times in 10.

Shape suffixes: N clips, K classes.
"""

from typing import Any

import numpy as np

BINS = 15
SMALLEST = 1e-12  # a probability whose logarithm is taken is at least this


def reliability(probs_NK: np.ndarray, true_N: np.ndarray, bins: int = BINS) -> list[dict[str, Any]]:
    """Clips by the probability of their likeliest class, in bins of equal width that hold their upper edge.

    Of each bin that is not empty: from, to, clips, and the means of confidence and accuracy.
    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """
    confidence_N, right_N = probs_NK.max(1), probs_NK.argmax(1) == true_N
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(int) - 1, 0, bins - 1)
    return [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "clips": int((bin_N == number).sum()),
            "confidence": float(confidence_N[bin_N == number].mean()),
            "accuracy": float(right_N[bin_N == number].mean()),
        }
        for number in sorted(set(bin_N.tolist()))
    ]


def calibration_error(probs_NK: np.ndarray, true_N: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap of confidence and accuracy, by clips in each bin."""
    bins = reliability(probs_NK, true_N)
    return float(sum(b["clips"] * abs(b["confidence"] - b["accuracy"]) for b in bins) / len(true_N))


def tempered(probs_NK: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logarithms are divided by `temperature`: above 1 less sure, below 1 surer.

    `tempered(tempered(probs, t), 1 / t)` are the probabilities again, but for those below 1e-12.
    Source: Guo et al. 2017.
    """
    logs_NK = np.log(probs_NK.astype(np.float64).clip(SMALLEST)) / temperature
    powers_NK: np.ndarray = np.exp(logs_NK - logs_NK.max(-1, keepdims=True))
    return powers_NK / powers_NK.sum(-1, keepdims=True)
