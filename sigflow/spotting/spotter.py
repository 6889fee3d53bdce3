"""One stream: frames in, windows to be recognised out; their probabilities in, events out."""

from collections.abc import Iterator, Mapping

import numpy as np

from sigflow.bundle import Manifest
from sigflow.spotting.events import Event, Events
from sigflow.spotting.fit import stream_of
from sigflow.spotting.glosses import Glosses
from sigflow.spotting.windows import Due, Window, Windows


class Spotter:
    """What is known of one stream; bounded, however long it is.

    What `push` and `end` give is to be decided in that order, but windows may be left out. Nothing that is decided
    changes which windows are due, so that several may be recognised together.
    """

    def __init__(self, manifest: Manifest, *, most_frames: int = 10_000) -> None:
        self.stream = stream_of(manifest)
        self._windows = Windows(self.stream, most_frames=most_frames)
        make = Glosses if manifest.task == "sentences" else Events
        self._events: Events | Glosses = make(self.stream, manifest.labels)

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
        match due, self._events:
            case Window(start_s, end_s, clip), Glosses() as glosses:
                time_s_T = np.zeros(0) if clip is None else start_s + clip.time_s.astype(np.float64)
                return glosses.take(start_s, end_s, probs, time_s_T)
            case Window(start_s, end_s), Events() as events:
                return events.take(start_s, end_s, probs)
            case _:
                return self._events.end(due[-1])
