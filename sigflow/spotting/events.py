"""Probabilities of windows to events. Shape suffix: K classes.

A window speaks for its middle: when half of it lies within a movement, its label has taken over. So an event reaches
from the middle of the first window that says its label to the middle of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sigflow.bundle import Streaming


class Event(NamedTuple):
    """Something was done. `prob`: the highest that its label had, smoothed; `at_s`: when it could be told."""

    label: str
    prob: float
    start_s: float
    end_s: float
    at_s: float


@dataclass
class _Running:
    """A label that reached `on`, and has not fallen below `off`. `on_s`, `last_s`: ends of its windows."""

    k: int
    on_s: float
    last_s: float
    start_s: float
    end_s: float
    prob: float
    told: bool = False


class Events:
    """Of one stream: smoothing, hysteresis, cool-down."""

    def __init__(self, stream: Streaming, labels: Sequence[str]) -> None:
        self._stream, self._labels = stream, labels
        self._meant_K = np.array([label not in stream.ignored for label in labels])
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._smooth_K = np.zeros(len(self._labels))
        self._since_K = np.full(len(self._labels), np.nan)  # middle of the first of the last windows that say so
        self._quiet_K = np.full(len(self._labels), -np.inf)  # no event of this class begins before
        self._running: _Running | None = None
        self._free_s = -np.inf  # end of the last event: none begins before
        self._before_s: float | None = None  # end of the last window

    def take(self, start_s: float, end_s: float, probs_K: np.ndarray | None) -> list[Event]:
        """What the next window means, `probs_K` None: nothing."""
        stream, middle_s = self._stream, (start_s + end_s) / 2
        given_K = np.zeros(len(self._labels)) if probs_K is None else np.where(self._meant_K, probs_K, 0.0)
        step_s = stream.hop_s if self._before_s is None else end_s - self._before_s
        kept = float(np.exp(-step_s / stream.smoothing_s)) if stream.smoothing_s else 0.0
        self._smooth_K = kept * self._smooth_K + (1 - kept) * given_K
        self._since_K = np.where(given_K < stream.off, np.nan, np.fmin(self._since_K, middle_s))
        self._before_s = end_s
        best = int(self._smooth_K.argmax())
        events = []
        if (now := self._running) and (self._smooth_K[now.k] < stream.off or self._is_overtaken(now, best)):
            events += self._close(now, end_s)
        if self._running is None and self._smooth_K[best] >= stream.on and end_s >= self._quiet_K[best]:
            begun_s = max(float(np.fmin(self._since_K[best], middle_s)), self._free_s)
            self._running = _Running(best, end_s, end_s, begun_s, begun_s, 0.0)
        if now := self._running:
            now.prob, now.last_s = max(now.prob, float(self._smooth_K[now.k])), end_s
            if given_K[now.k] >= stream.off:
                now.end_s = max(now.end_s, middle_s)
            if stream.told == "begun" and not now.told and self._is_sure(now):
                now.told = True
                events.append(self._event(now, end_s))
        return events

    def end(self, at_s: float) -> list[Event]:
        """The stream is over, or begins anew: what is running has ended."""
        events = self._close(self._running, at_s) if self._running else []
        self._begin_anew()
        return events

    def _is_overtaken(self, now: _Running, best: int) -> bool:
        return best != now.k and bool(self._smooth_K[best] >= self._stream.on)

    def _is_sure(self, now: _Running) -> bool:
        return now.last_s - now.on_s >= self._stream.lasting_s - 1e-6

    def _close(self, now: _Running, at_s: float) -> list[Event]:
        """Its event, if it is one and was not told yet."""
        self._running = None
        if not self._is_sure(now):
            return []
        self._free_s = now.end_s
        self._quiet_K[now.k] = at_s + self._stream.cool_down_s
        return [] if now.told else [self._event(now, at_s)]

    def _event(self, now: _Running, at_s: float) -> Event:
        return Event(self._labels[now.k], now.prob, now.start_s, now.end_s, at_s)
