"""How far figures could be off, had other subjects been recorded: bootstrap intervals.

Clips of one subject resemble each other, so that subjects are drawn, with all of their clips (Field and Welsh 2007,
"Bootstrapping clustered data"). Where no subject is known, or only one, clips are drawn, which says nothing of other
people. Shape suffixes: N clips, U units that are drawn, S sums, B resamples, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

LEVEL = 0.95
RESAMPLES = 1000
FEW_UNITS = 10  # below, intervals are known to be too narrow (Cameron, Gelbach and Miller 2008)
_AT_ONCE = 100


def class_intervals(
    true_N: np.ndarray, predicted_N: np.ndarray, num_classes: int, subjects: Sequence[str | None], *, seed: int = 0
) -> dict[str, Any]:
    """Intervals [low, high] of accuracy and macro_f1, and how they were made, as plain JSON."""
    unit_N, how = _units(subjects, seed)
    drawn_BS = _resampled(_class_sums(true_N, predicted_N, num_classes, unit_N), seed)
    return how | {
        "accuracy": _interval(drawn_BS[:, 1] / drawn_BS[:, 0]),
        "macro_f1": _interval(_macro_f1(drawn_BS)),
    }


def f1_difference(
    true_N: np.ndarray,
    first_N: np.ndarray,
    other_N: np.ndarray,
    num_classes: int,
    subjects: Sequence[str | None],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Whether two models have the same macro-F1, of the same clips: a paired bootstrap over subjects, as plain JSON.

    `difference`: the other's minus the first's. Both are measured on the same resamples, which takes out what clips and
    subjects have in common.
    """
    unit_N, how = _units(subjects, seed)
    sums = [_class_sums(true_N, given_N, num_classes, unit_N) for given_N in (first_N, other_N)]
    first, other = (_macro_f1(each_US.sum(0, keepdims=True))[0] for each_US in sums)
    drawn_first_B, drawn_other_B = (_macro_f1(_resampled(each_US, seed)) for each_US in sums)
    low, high = _interval(drawn_other_B - drawn_first_B)
    return {
        "method": "paired bootstrap",
        "figure": "macro_f1",
        "difference": float(other - first),
        "interval": [low, high],
        "significant": low > 0 or high < 0,
        **{name: how[name] for name in ("drawn", "units", "too_few_units")},
    }


def _class_sums(true_N: np.ndarray, predicted_N: np.ndarray, num_classes: int, unit_N: np.ndarray) -> np.ndarray:
    """Of each unit: clips, right ones, right ones of each class, and how often each class is true, and is predicted."""
    right_N = true_N == predicted_N
    one_hot_KK = np.eye(num_classes)
    return _per_unit(
        np.concatenate(
            [
                np.ones((len(true_N), 1)), right_N[:, None],
                one_hot_KK[true_N] * right_N[:, None], one_hot_KK[true_N], one_hot_KK[predicted_N],
            ],
            axis=1,
        ),
        unit_N,
    )  # fmt: skip


def _macro_f1(sums_BS: np.ndarray) -> np.ndarray:
    """`metrics.macro_f1` of each row."""
    right_BK, true_BK, given_BK = np.split(sums_BS[:, 2:], 3, axis=1)
    f1_BK = np.divide(2 * right_BK, true_BK + given_BK, out=np.full_like(right_BK, np.nan), where=true_BK > 0)
    macro_B: np.ndarray = np.nanmean(f1_BK, axis=1)
    return macro_B


def wer_interval(
    edits_N: Sequence[int], glosses_N: Sequence[int], subjects: Sequence[str | None], *, seed: int = 0
) -> dict[str, Any]:
    """Interval of WER and of the share of sentences without an edit, by sums of edits and of true glosses."""
    unit_N, how = _units(subjects, seed)
    edits = np.array(edits_N)
    sums_US = _per_unit(np.stack([np.ones(len(edits)), edits == 0, edits, np.array(glosses_N)], 1), unit_N)
    drawn_BS = _resampled(sums_US, seed)
    return how | {
        "accuracy": _interval(drawn_BS[:, 1] / drawn_BS[:, 0]),
        "wer": _interval(drawn_BS[:, 2] / drawn_BS[:, 3].clip(1)),
    }


def _units(subjects: Sequence[str | None], seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    known = sorted({subject for subject in subjects if subject is not None})
    by_subject = len(known) > 1 and None not in subjects
    if by_subject:
        index = {name: number for number, name in enumerate(known)}
        unit_N = np.array([index[subject] for subject in subjects if subject is not None])
    else:
        unit_N = np.arange(len(subjects))
    count = len(known) if by_subject else len(subjects)
    return unit_N, {
        "level": LEVEL,
        "method": "percentile bootstrap",
        "drawn": "subjects, each with all of its clips" if by_subject else "clips",
        "units": count,
        "resamples": RESAMPLES,
        "seed": seed,
        "says_nothing_of_other_subjects": not by_subject,
        "too_few_units": count < FEW_UNITS,
    }


def _per_unit(values_NS: np.ndarray, unit_N: np.ndarray) -> np.ndarray:
    sums_US = np.zeros((int(unit_N.max()) + 1, values_NS.shape[1]))
    np.add.at(sums_US, unit_N, values_NS)
    return sums_US


def _resampled(sums_US: np.ndarray, seed: int) -> np.ndarray:
    """Sums (B, S) over as many units as there are, drawn with replacement; a few resamples at once, for memory."""
    rng = np.random.default_rng(seed)
    count = len(sums_US)
    chances_U = np.full(count, 1 / count)
    drawn = [rng.multinomial(count, chances_U, _AT_ONCE) @ sums_US for _ in range(RESAMPLES // _AT_ONCE)]
    return np.concatenate(drawn)


def _interval(values_B: np.ndarray) -> list[float]:
    tail = (1 - LEVEL) / 2
    return [float(bound) for bound in np.quantile(values_B, [tail, 1 - tail])]
