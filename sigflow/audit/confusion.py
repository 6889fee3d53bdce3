"""Labels that the movement contradicts, by a logistic regression on pooled features.

Measured: where labels are right it confuses no class of 33 signs by more than 0.27 with another one, of people and
sittings that it was not fitted on.
"""

import warnings
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sigflow.audit.features import Sample
from sigflow.audit.plan import Finding, Plan, listed

CONFUSED = 0.5  # of a class's clips are called one other class, and that is more than are called their own
ALIKE = 0.7  # times as many are called the other as their own, of both: chance would be 1
SWAPPED = 0.8  # of one subject's clips of each of two classes are called the other
LEAST_CLIPS = 5  # of a class: of fewer nothing is said
LEAST_TAKES = 3  # of one subject and class
_COMPONENTS = 64


def confused(plan: Plan, sample: Sample) -> list[Finding]:
    """Findings on pairs of classes; none on sentences, whose glosses have no place in time."""
    if plan.recipe.sentences:
        return []
    labels_N = np.array([plan.sentences[row][0] for row in sample.rows])
    called_N = _called(plan, sample, labels_N)
    rows = np.array([row for row, name in enumerate(called_N) if name is not None], int)
    if not len(rows):
        return []
    subjects = plan.clips.column("subject")
    who_N = np.array([subjects[row] or "" for row in sample.rows])
    swapped = list(_swapped(labels_N[rows], called_N[rows].astype(str), who_N[rows]))
    pairs = list(_confused(labels_N[rows], called_N[rows].astype(str)))
    found = []
    if swapped:
        found.append(
            Finding(
                code="swapped_labels", severity="warning",
                evidence=f"labels of two classes look exchanged ({listed(swapped)}){sample.note}",
                mend="watch these clips; if so, exchange their labels",
            )
        )  # fmt: skip
    if pairs:
        found.append(
            Finding(
                code="confused_classes", severity="warning",
                evidence=f"by pooled features classes are confused with each other ({listed(pairs)})"
                f"{sample.note}",
                mend="watch clips of both: the same movement under two names, or swapped labels; or take features that "
                "tell them apart",
            )
        )  # fmt: skip
    return found


def _called(plan: Plan, sample: Sample, labels_N: np.ndarray) -> np.ndarray:
    """Predictions for each clip of the sample by a model of the fold that tests it; None where there is none."""
    place = np.full(len(plan.clips), -1)
    place[sample.rows] = np.where(sample.seen, np.arange(len(sample.rows)), -1)
    pooled_ND = _pooled(sample)
    called_N = np.full(len(sample.rows), None, object)
    for fold in plan.folds.folds:
        fitted, tested = (place[rows][place[rows] >= 0] for rows in (np.append(fold.train, fold.stop), fold.test))
        if len(set(labels_N[fitted])) < 2 or not len(tested):
            continue
        model = LogisticRegression(C=10.0, max_iter=60, tol=1e-3, class_weight="balanced")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a rough answer will do
            model.fit(pooled_ND[fitted], labels_N[fitted])
        # A class that was not fitted cannot be called, and is not to be blamed for it.
        tested = tested[np.isin(labels_N[tested], model.classes_)]
        if len(tested):
            called_N[tested] = model.predict(pooled_ND[tested])
    return called_N


def _pooled(sample: Sample) -> np.ndarray:
    """Mean, spread and change of each feature over the clip, along the directions in which clips differ most."""
    places, half = sample.places, sample.places.shape[1] // 2
    change = places[:, half:].mean(1) - places[:, :half].mean(1)
    pooled = np.concatenate([places.mean(1), places.std(1), change], 1).astype(np.float64)
    pooled -= pooled.mean(0)
    _, _, axes = np.linalg.svd(pooled[:: max(1, len(pooled) // 2000)], full_matrices=False)
    first = pooled @ axes[:_COMPONENTS].T
    return np.asarray(first / max(first[:, 0].std(), 1e-9))


def _confused(labels_N: np.ndarray, called_N: np.ndarray) -> Iterator[str]:
    names = np.union1d(labels_N, called_N)
    share_KK = np.zeros((len(names), len(names)))  # of the clips of each class those called each other
    np.add.at(share_KK, (np.searchsorted(names, labels_N), np.searchsorted(names, called_N)), 1)
    counts = share_KK.sum(1)
    share_KK /= np.maximum(counts, 1)[:, None]
    for i, j in combinations(np.flatnonzero(counts >= LEAST_CLIPS), 2):
        own_a, a_as_b, b_as_a, own_b = share_KK[[i, i, j, j], [i, j, i, j]]
        one_way = any(wrong >= max(CONFUSED, own) for wrong, own in ((a_as_b, own_a), (b_as_a, own_b)))
        if one_way or a_as_b + b_as_a >= max(CONFUSED, ALIKE * (own_a + own_b)):
            yield f"{names[i]} and {names[j]}: {a_as_b:.0%} and {b_as_a:.0%} of their clips look like the other"


def _swapped(labels_N: np.ndarray, called_N: np.ndarray, who_N: np.ndarray) -> Iterator[str]:
    """Of one subject, where the others' clips of these classes are mostly told apart."""
    for who in np.unique(who_N[who_N != ""]):
        mine = who_N == who
        taken = {}  # class: the one that nearly all of this subject's clips of it are called
        for name in np.unique(labels_N[mine]):
            calls, counts = np.unique(called_N[mine & (labels_N == name)], return_counts=True)
            if counts.sum() >= LEAST_TAKES and counts.max() >= SWAPPED * counts.sum():
                taken[str(name)] = str(calls[counts.argmax()])
        for name, other in taken.items():
            if name < other and taken.get(other) == name:
                others = ~mine & np.isin(labels_N, [name, other])
                if others.any() and (called_N == labels_N)[others].mean() > CONFUSED:
                    yield f"{name} and {other} of {who}"
