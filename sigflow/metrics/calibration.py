"""Whether a probability of 0.8 is right 8 times in 10.

Shape suffixes: N clips, K classes.
"""

from typing import Any

import numpy as np

BINS = 15


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
