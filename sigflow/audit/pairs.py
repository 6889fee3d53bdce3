"""Pairs of clips that have frames in common, or that are alike.

Copies share their frames to the last bit, however they were cut; near copies (moved, scaled, mirrored, rounded) are
found by their features. Measured: the nearest neighbour of a clip that is no copy is at 0.15 of its class's usual
distance or farther (33 signs, two recorders, the sample set); moved and scaled copies are at 0, rounded ones below 0.1.

Shape suffixes: S all frames, C numbers of a frame, M pairs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from sigflow.audit.features import Sample
from sigflow.audit.plan import Plan

OVERLAP = 0.5  # of the shorter clip's frames: windows that overlap, a part of a longer clip
NEAR = 0.1  # of the median distance of its class's clips to their nearest neighbours
DISTINCT = 0.5  # of the equal frames
MOST_PAIRS = 5_000  # that are looked at
_LAGS = 20  # how many clips with one frame in common are compared with each other
_NUMBERS = 2**22  # at once
_SORTED = 2**20  # frames at once, about
_MOST_TIMES = 64  # each time all frames' codes are looked at
_ROWS = 512  # of distances at once


class Pairs(NamedTuple):
    """Rows of clips. `share_M`: of the longer one's frames that both have; 0 where they are only alike."""

    first_M: np.ndarray
    second_M: np.ndarray
    share_M: np.ndarray

    def where(self, chosen_M: np.ndarray) -> "Pairs":
        """Some of them."""
        return Pairs(*(values_M[chosen_M] for values_M in self))

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Both rows of each pair."""
        return list(zip(self.first_M.tolist(), self.second_M.tolist(), strict=True))


def together(a: Pairs, b: Pairs) -> Pairs:
    """Those of both."""
    return Pairs(*(np.append(mine, its) for mine, its in zip(a, b, strict=True)))


def sharing_frames(plan: Plan) -> tuple[Pairs, str]:
    """Pairs of clips with at least half of the shorter one's frames in the other; what was left out."""
    code_S = _codes(plan)
    offsets, count = plan.clips.offsets.numpy(), len(plan.clips)
    key_M, shared_M, distinct_N = _shared(code_S, offsets)
    first_M, second_M = key_M // count, key_M % count
    share_M = shared_M / np.minimum(distinct_N[first_M], distinct_N[second_M])
    likely = np.flatnonzero(share_M >= OVERLAP)
    likely = likely[np.argsort(-share_M[likely], kind="stable")]
    note = "" if len(likely) <= MOST_PAIRS else f" (looked at {MOST_PAIRS} of {len(likely)} pairs)"
    found = []
    for first, second in zip(first_M[likely[:MOST_PAIRS]], second_M[likely[:MOST_PAIRS]], strict=True):
        a, b = (code_S[offsets[row] : offsets[row + 1]] for row in (first, second))
        equal = _in_order(a, b)
        shorter, longer = np.sort([np.count_nonzero(a), np.count_nonzero(b)])
        if equal >= OVERLAP * shorter:
            found.append((int(first), int(second), float(equal / longer)))
    return _pairs(found), note


def _shared(code_S: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of clips as first * clips + second, in order; how many different frames both have; and each clip alone.

    Frames are sorted by their codes, as many at a time as memory holds: equal ones come together.
    """
    count = len(offsets) - 1
    distinct_N = np.zeros(count, np.int64)
    keys, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    times = min(_MOST_TIMES, max(1, -(-len(code_S) // _SORTED)))
    first = [1, *(number * (2**64 // times) for number in range(1, times))]  # 0: nothing was seen
    for low, high in pairwise([*map(np.uint64, first), None]):
        place = np.flatnonzero((code_S >= low) & (True if high is None else code_S < high))
        clip, code = np.searchsorted(offsets, place, "right") - 1, code_S[place]
        order = np.lexsort((clip, code))
        code, clip = code[order], clip[order]
        new = np.ones(len(code), bool)
        new[1:] = (code[1:] != code[:-1]) | (clip[1:] != clip[:-1])
        code, clip = code[new], clip[new]
        distinct_N += np.bincount(clip, minlength=count)
        own = [np.empty(0, np.int64)]
        for lag in range(1, _LAGS + 1):
            same = code[lag:] == code[:-lag]
            own.append(clip[:-lag][same] * count + clip[lag:][same])
        pair, number = np.unique(np.concatenate(own), return_counts=True)
        keys.append(pair)
        numbers.append(number)
    key_M, row_M = np.unique(np.concatenate(keys), return_inverse=True)
    shared_M = np.zeros(len(key_M), np.int64)
    np.add.at(shared_M, row_M, np.concatenate(numbers))
    return key_M, shared_M, distinct_N


def _in_order(a: np.ndarray, b: np.ndarray) -> int:
    """How many seen frames are the same at one and the same shift; 0 if they hardly differ from each other."""
    shared, at_a, at_b = np.intersect1d(a, b, return_indices=True)
    shift_M = (at_b - at_a)[shared != 0]
    if not len(shift_M):
        return 0
    shift = int(np.bincount(shift_M + len(a)).argmax()) - len(a)
    start, end = max(0, -shift), min(len(a), len(b) - shift)
    equal = a[start:end][(a[start:end] == b[start + shift : end + shift]) & (a[start:end] != 0)]
    # Channels that rest or take few values have the same frame again and again, and share it with others by chance.
    return len(equal) if len(np.unique(equal)) >= DISTINCT * len(equal) else 0


def _pairs(found: Sequence[tuple[int, int, float]]) -> Pairs:
    first, second, share = zip(*found, strict=True) if found else ((), (), ())
    return Pairs(np.array(first, np.int64), np.array(second, np.int64), np.array(share, np.float64))


def _codes(plan: Plan) -> np.ndarray:
    """A number for what is in each frame, (S,) uint64: equal numbers, equal landmarks. 0: nothing was seen."""
    code_S = np.zeros(len(plan.clips.time_s_S), np.uint64)
    seen_S = np.zeros(len(code_S), bool)
    rng = np.random.default_rng(0)
    for name in plan.recipe.frontend.parts:
        values_SC = plan.clips.parts[name].flatten(1).numpy()
        factor_C = rng.integers(1, 2**63, values_SC.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
        step = max(1, _NUMBERS // values_SC.shape[1])
        for start in range(0, len(code_S), step):
            block = values_SC[start : start + step]
            missing = np.isnan(block)
            bits = np.where(missing, np.float32(0), block).view(np.uint32).astype(np.uint64) + missing
            code_S[start : start + step] += (bits * factor_C).sum(1, dtype=np.uint64)
            seen_S[start : start + step] |= ~missing.all(1)
    return np.where(seen_S, code_S | np.uint64(1), np.uint64(0))


def alike(plan: Plan, sample: Sample) -> Pairs:
    """Clips of the sample and their nearest neighbours, where these are much nearer than is usual in the class."""
    moving = sample.places.std(1).amax(1) > 0
    rows = np.flatnonzero((sample.seen & moving).numpy())
    if len(rows) < 3:
        return _pairs([])
    points = sample.places[rows].flatten(1)
    distance, neighbour = np.empty(len(rows)), np.empty(len(rows), np.int64)
    for start in range(0, len(rows), _ROWS):
        away = torch.cdist(points[start : start + _ROWS], points)
        away[torch.arange(len(away)), torch.arange(len(away)) + start] = torch.inf
        nearest = away.min(1)
        distance[start : start + _ROWS], neighbour[start : start + _ROWS] = nearest.values, nearest.indices
    classes = np.array(["" if plan.recipe.sentences else plan.sentences[row][0] for row in sample.rows[rows]])
    usual = np.empty(len(rows))
    for name in np.unique(classes):
        usual[classes == name] = np.median(distance[classes == name])
    near = np.flatnonzero(distance < NEAR * usual)
    # Channels that take few values may agree at a few places by chance.
    apart = sample.many_places(rows[near]) - sample.many_places(rows[neighbour[near]])
    near = near[apart.square().mean((1, 2)).sqrt().numpy() < NEAR * usual[near] / points.shape[1] ** 0.5]
    ends = np.sort(np.stack([sample.rows[rows[near]], sample.rows[rows[neighbour[near]]]]), 0)
    return _pairs([(first, second, 0.0) for first, second in sorted(set(zip(*ends.tolist(), strict=True)))])
