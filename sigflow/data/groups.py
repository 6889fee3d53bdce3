"""Subjects drawn into parts of about the same classes, differently for each seed.

scikit-learn's StratifiedGroupKFold deals out subjects by the spread of their classes, largest first, and shuffles only
those that are alike in it: with subjects of different sizes every seed gives the same folds.

Shape suffixes: N clips, G subjects, K classes, P parts.
"""

import numpy as np

_DRAWS = 30  # of which the most even one is taken


def draw_parts(labels_N: np.ndarray, subjects_N: np.ndarray, number: int, seed: int) -> list[np.ndarray]:
    """Places (from 0) of the clips of each part; every subject is in one part, and every part has one or more.

    Subjects come in a drawn order, each to the part that makes the shares of the classes most alike.
    """
    _, class_N = np.unique(labels_N, return_inverse=True)
    people_G, subject_N = np.unique(subjects_N, return_inverse=True)
    counts_GK = np.zeros((len(people_G), class_N.max() + 1))
    np.add.at(counts_GK, (subject_N, class_N), 1)
    share_GK = counts_GK / counts_GK.sum(0)
    generator = np.random.default_rng(seed)
    draws = [_deal(share_GK, generator.permutation(len(people_G)), number) for _ in range(_DRAWS)]
    part_G = min(draws, key=lambda draw: draw[0])[1]
    return [np.flatnonzero(part_G[subject_N] == part) for part in range(number)]


def _deal(share_GK: np.ndarray, order: np.ndarray, number: int) -> tuple[float, np.ndarray]:
    """How uneven the parts are, and each subject's part. The first subjects open one part each."""
    sums_PK = share_GK[order[:number]].copy()
    part_G = np.zeros(len(order), int)
    part_G[order[:number]] = np.arange(number)
    for subject in order[number:]:
        tried_PPK = sums_PK + np.eye(number)[:, :, None] * share_GK[subject]
        part_G[subject] = best = int(tried_PPK.std(1).mean(1).argmin())
        sums_PK[best] += share_GK[subject]
    return float(sums_PK.std(0).mean()), part_G
