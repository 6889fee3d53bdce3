"""Predictions of runs that know something, nothing, or only some classes.

Shape suffixes: N clips, K classes.
"""

import numpy as np


def truth(count: int, classes: int, seed: int = 0) -> np.ndarray:
    """Classes (N,), each about as often."""
    return np.random.default_rng(seed).integers(0, classes, count)


def knowing(true_N: np.ndarray, classes: int, share: float, seed: int, sure: float = 0.7) -> np.ndarray:
    """Right in about `share` of the clips, whichever they are; elsewhere another class, as sure."""
    rng = np.random.default_rng(seed)
    wrong_N = (true_N + rng.integers(1, classes, len(true_N))) % classes
    return voting(np.where(rng.random(len(true_N)) < share, true_N, wrong_N), classes, sure)


def voting(given_N: np.ndarray, classes: int, sure: float | np.ndarray = 0.7) -> np.ndarray:
    """Probability `sure` for the given class, the rest shared alike."""
    sure_N1 = np.broadcast_to(sure, len(given_N))[:, None]
    return np.where(np.eye(classes, dtype=bool)[given_N], sure_N1, (1 - sure_N1) / (classes - 1))


def noise(count: int, classes: int, seed: int) -> np.ndarray:
    """Knows nothing."""
    return np.random.default_rng(seed).dirichlet(np.ones(classes), count)


def halves(true_N: np.ndarray, classes: int) -> list[np.ndarray]:
    """Two runs, each of which knows every other clip, and has no idea of the others."""
    first_N = np.arange(len(true_N)) % 2 == 0
    known, unknown = voting(true_N, classes, 0.8), np.full((len(true_N), classes), 1 / classes)
    return [np.where(first_N[:, None], known, unknown), np.where(first_N[:, None], unknown, known)]
