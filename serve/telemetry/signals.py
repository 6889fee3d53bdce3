"""What a model's answers look like lately: one label for everything, and drift, are seen here while it serves.

Shape suffixes: K classes.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from sigflow.bundle import Manifest
from sigflow.decoding import BLANK, ctc_greedy
from sigflow.monitors import diversity
from sigflow.predictor import Answer, ClipInput

WINDOW = 500  # answers
ENOUGH = 100  # answers before anything is said of them
_TOLD_EVERY = 10  # answers: fewer change little of what the window says
COLLAPSED = 0.5  # of the diversity that the bundle had on clips that it had not seen

Tags = Mapping[str, str]
Meter = Callable[[str, float, Tags], None]  # name of a metric, value, tags


def unmeasured(name: str, value: float, tags: Tags) -> None:
    """For a process that nobody measures."""


class Signals:
    """Of one bundle in one replica. `meter`: where figures go, beside `now`."""

    def __init__(self, manifest: Manifest, meter: Meter = unmeasured) -> None:
        self._tags = {"model": manifest.name, "version": manifest.version}
        self._labels, self._meter = manifest.labels, meter
        self._sentences = manifest.task == "sentences"
        self._reference_K = reference(manifest)
        self._label: deque[int] = deque(maxlen=WINDOW)
        self._prob: deque[float] = deque(maxlen=WINDOW)
        self._found: deque[float] = deque(maxlen=WINDOW)
        self._answers = self._untold = 0
        self._shadowed: Counter[bool] = Counter()

    def add(self, clips: Sequence[ClipInput], answers: Sequence[Answer]) -> None:
        """Answers that a client was given. Of sentences each gloss counts, and as a blank one without any."""
        self._answers += len(clips)
        self._untold += len(clips)
        said: list[tuple[int, float]] = []
        for clip, answer in zip(clips, answers, strict=True):
            self._found.append(clip.found)
            self._meter("missing_ratio", 1 - clip.found, self._tags)
            if not clip.found:
                continue  # a guess says nothing of the model
            chosen = (ctc_greedy(answer.probs) or [BLANK]) if self._sentences else [int(answer.probs.argmax())]
            said += [(k, float(answer.probs.max(-1).mean())) for k in chosen]
        for k, prob in said:
            self._label.append(k)
            self._prob.append(prob)
        self._meter("clips_total", len(clips), self._tags)
        for k, count in Counter(k for k, _ in said).items():
            self._meter("labels_total", count, {**self._tags, "label": self._labels[k]})
        if self._untold < _TOLD_EVERY:
            return
        self._untold, state = 0, self._state()
        for name in ("diversity", "top_share", "drift", "collapsed"):
            if (value := state[name]) is not None:
                self._meter(name, float(value), self._tags)

    def compare(self, mine: Sequence[Answer], given: Sequence[Answer]) -> None:
        """What a shadow said, beside what the client was given."""
        for a, b in zip(mine, given, strict=True):
            same = bool(np.array_equal(a.probs.argmax(-1), b.probs.argmax(-1)))
            self._shadowed[same] += 1
            self._meter("shadow_answers_total", 1, {**self._tags, "agrees": str(same).lower()})

    @property
    def now(self) -> dict[str, Any]:
        """Everything as plain JSON; None: nothing can be said yet, or the bundle does not tell what to expect."""
        shares = {self._labels[k]: count / len(self._label) for k, count in Counter(self._label).most_common()}
        return {
            **self._tags, "answers": self._answers, "window": len(self._label), "labels": shares,
            "confidence": _mean(self._prob), "found": _mean(self._found), **self._state(),
            "shadow": {"agrees": self._shadowed[True], "differs": self._shadowed[False]},
        }  # fmt: skip

    def _state(self) -> dict[str, float | bool | None]:
        if len(self._label) < ENOUGH:
            return dict.fromkeys(("diversity", "top_share", "drift", "collapsed"))
        found = diversity(self._label, len(self._labels))
        if self._reference_K is None:
            return {"diversity": found["entropy"], "top_share": found["top_share"], "drift": None, "collapsed": None}
        seen_K = np.bincount(self._label, minlength=len(self._labels)) / len(self._label)
        expected = _entropy(self._reference_K) / np.log2(max(2, len(self._labels)))
        return {
            "diversity": found["entropy"],
            "top_share": found["top_share"],
            "drift": divergence(seen_K, self._reference_K),
            "collapsed": bool(found["entropy"] < COLLAPSED * expected),
        }


def _mean(values: Collection[float]) -> float | None:
    return sum(values) / len(values) if values else None


def reference(manifest: Manifest) -> np.ndarray | None:
    """Shares of the labels that the bundle gave to clips that it had not seen, (K,); None: it does not say."""
    measured = manifest.metrics.get("holdout") or manifest.metrics.get("oof") or {}
    each = measured.get("per_class") or measured.get("per_gloss") or {}
    counts_K = np.array([each.get(label, {}).get("given", 0) for label in manifest.labels], float)
    return counts_K / counts_K.sum() if counts_K.sum() else None


def divergence(p_K: np.ndarray, q_K: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits: 0 for the same shares, 1 for shares that have nothing in common."""
    return float(max(0.0, _entropy((p_K + q_K) / 2) - (_entropy(p_K) + _entropy(q_K)) / 2))


def _entropy(p_K: np.ndarray) -> float:
    some = p_K[p_K > 0]
    return float(-(some * np.log2(some)).sum())
