"""One stream: frames in, windows to be recognised out; their probabilities in, events out."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from sigflow.bundle import Streaming
from sigflow.spotting.events import Event, Events
from sigflow.spotting.glosses import Glosses
from sigflow.spotting.windows import Break, Due, Windows


class Spotter:
    """What is known of one stream; bounded, however long it is.

    What `push` and `end` give is to be decided in that order, but windows may be left out. Nothing that is decided
    changes which windows are due, so that several may be recognised together.

    Args:
        labels: in the order of the probabilities.
        sentences: whether these are of each frame (CTC).
        most_frames: in a window; more are refused.
    """

    def __init__(self, stream: Streaming, labels: Sequence[str], *, sentences: bool, most_frames: int = 10_000) -> None:
        self._windows = Windows(stream, most_frames=most_frames)
        self._events: Events | Glosses = (Glosses if sentences else Events)(stream, labels)

    def push(self, time_s_T: np.ndarray, parts: Mapping[str, np.ndarray], aspect: float) -> Iterator[Due]:
        """What becomes due with these frames; see `Windows.push`."""
        return self._windows.push(time_s_T, parts, aspect)

    def end(self) -> Iterator[Due]:
        """What is due when no more frames come."""
        return self._windows.end()

    def decide(self, due: Due, probs: np.ndarray | None) -> list[Event]:
        """Events that are told now.

        Args:
            probs: the window's, (K,) or (T, K); None for a window without a clip, and for a break.
        """
        if isinstance(due, Break):
            return self._events.end(due.at_s)
        if isinstance(self._events, Events):
            return self._events.take(due.start_s, due.end_s, probs)
        time_s_T = np.zeros(0) if due.clip is None else due.start_s + due.clip.time_s.astype(np.float64)
        return self._events.take(due.start_s, due.end_s, probs, time_s_T)
