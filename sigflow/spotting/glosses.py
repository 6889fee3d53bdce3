"""Probabilities of windows' frames to glosses (CTC), each once. Shape suffixes: T frames, K classes.

A recogniser of sentences needs to see what comes before and after a gloss. Windows overlap, so that each gloss lies
far enough from both ends of some of them; when two in turn say the same there, it is certain.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from sigflow.bundle import Streaming
from sigflow.decoding import BLANK
from sigflow.spotting.events import Event

_SAME_S = 0.25  # the same gloss this near in two windows is the same one


class _Span(NamedTuple):
    """Frames in a row that say one gloss."""

    k: int
    start_s: float
    end_s: float
    prob: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


class Glosses:
    """Of one stream."""

    def __init__(self, stream: Streaming, labels: Sequence[str]) -> None:
        self._stream, self._labels = stream, labels
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._first_s: float | None = None  # of the stream's first frame
        self._spans: list[_Span] = []  # of the last window, that may still be told
        self._last: _Span | None = None  # that was told

    def take(self, start_s: float, end_s: float, probs_TK: np.ndarray | None, time_s_T: np.ndarray) -> list[Event]:
        """Glosses that the next window made certain, `probs_TK` None: nothing was seen in it.

        Args:
            time_s_T: of its frames, in the stream's own time.
        """
        self._first_s = start_s if self._first_s is None else self._first_s
        before = self._spans
        self._spans = [] if probs_TK is None else self._new(_spans(probs_TK, time_s_T), start_s)
        certain = []
        for span in self._spans:
            again = any(other.k == span.k and abs(other.middle_s - span.middle_s) <= _SAME_S for other in before)
            if not again or span.end_s > end_s - self._stream.stable_s:
                break
            certain.append(self._told(span, end_s))
        self._spans = self._spans[len(certain) :]
        return certain

    def end(self, at_s: float) -> list[Event]:
        """The stream is over, or begins anew: what the last window said counts as it is."""
        events = [self._told(span, at_s) for span in self._spans]
        self._begin_anew()
        return events

    def _new(self, spans: Sequence[_Span], start_s: float) -> list[_Span]:
        """Those that were not told yet, and do not lie where the window lacks what came before."""
        margin_s = 0.0 if start_s == self._first_s else self._stream.stable_s / 2
        return [
            span
            for span in spans
            if span.start_s >= start_s + margin_s
            and self._labels[span.k] not in self._stream.ignored
            and not (self._last and _is_told(span, self._last))
        ]

    def _told(self, span: _Span, at_s: float) -> Event:
        start_s = max(span.start_s, self._last.end_s) if self._last else span.start_s
        self._last = span._replace(start_s=start_s)
        return Event(self._labels[span.k], span.prob, start_s, span.end_s, at_s)


def _is_told(span: _Span, last: _Span) -> bool:
    return span.middle_s <= last.end_s or (span.k == last.k and span.start_s <= last.end_s + _SAME_S)


def _spans(probs_TK: np.ndarray, time_s_T: np.ndarray) -> list[_Span]:
    found, start = [], 0
    for best, frames in groupby(probs_TK.argmax(1).tolist()):
        end = start + len(list(frames))
        if best != BLANK:
            prob = float(probs_TK[start:end, best].mean())
            found.append(_Span(best, float(time_s_T[start]), float(time_s_T[end - 1]), prob))
        start = end
    return found
