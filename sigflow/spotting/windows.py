"""Frames of one stream to windows. All times are the stream's own, in seconds.

Shape suffixes: T frames.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from sigflow.bundle import Streaming
from sigflow.errors import UserError
from sigflow.predictor import ClipInput

_ROUNDING_S = 1e-3  # hops are whole frames, whatever the last digits of their times


class Window(NamedTuple):
    """What is to be recognised next. `clip` None: too little was seen, it means nothing."""

    start_s: float
    end_s: float
    clip: ClipInput | None


class Break(NamedTuple):
    """The stream begins anew (`gap`, `clock`), or it is over (`end`): what is pending is decided."""

    reason: Literal["gap", "clock", "end"]
    at_s: float  # of the last frame before it


Due = Window | Break


class _Frame(NamedTuple):
    time_s: float
    lasts_s: float
    seen: bool
    parts: Mapping[str, np.ndarray]


class Windows:
    """Holds the last window's frames and no more.

    Args:
        most_frames: in a window.
    """

    def __init__(self, stream: Streaming, *, most_frames: int = 10_000) -> None:
        self._stream, self._most_frames = stream, most_frames
        self._frames: deque[_Frame] = deque()
        self._due_s = 0.0
        self._fresh = False  # whether there are frames after the last window
        self._aspect = 1.0

    def push(self, time_s_T: np.ndarray, parts: Mapping[str, np.ndarray], aspect: float) -> Iterator[Due]:
        """What becomes due while these frames come; a frame at the time of the one before it is left out.

        Args:
            time_s_T: (T,) float64.
            parts: (T, ...) float32, NaN for missing.

        Raises:
            UserError: more frames in a window than are held.
        """
        stream = self._stream
        watched = [parts[part] for part in stream.watched or parts if part in parts]
        seen_T = np.zeros(len(time_s_T), bool)
        for points in watched:
            seen_T |= ~np.isnan(points).all(tuple(range(1, points.ndim)))
        for number, time_s in enumerate(time_s_T.tolist()):
            before = self._frames[-1].time_s if self._frames else None
            if time_s == before:
                continue
            if before is not None and not 0 < time_s - before <= stream.max_gap_s:
                yield from self._broken("gap" if time_s > before else "clock", before)
                before = None
            self._aspect = aspect
            lasts_s = 0.0 if before is None else time_s - before
            if before is None:
                self._due_s = time_s + stream.hop_s
            frame = {part: points[number] for part, points in parts.items()}
            self._frames.append(_Frame(time_s, lasts_s, bool(seen_T[number]), frame))
            self._fresh = True
            while self._frames[0].time_s <= time_s - stream.window_s:
                self._frames.popleft()
            if len(self._frames) > self._most_frames:
                raise UserError(f"over {self._most_frames} frames in {stream.window_s:g} s; send fewer a second")
            if time_s >= self._due_s - _ROUNDING_S:
                self._due_s = time_s + stream.hop_s
                yield self._window()

    def end(self) -> Iterator[Due]:
        """The stream is over."""
        if self._frames:
            yield from self._broken("end", self._frames[-1].time_s)

    def __len__(self) -> int:
        """Frames that are held."""
        return len(self._frames)

    def _broken(self, reason: Literal["gap", "clock", "end"], at_s: float) -> Iterator[Due]:
        if self._fresh:
            yield self._window()
        yield Break(reason, at_s)
        self._frames.clear()

    def _window(self) -> Window:
        self._fresh = False
        frames = self._frames
        start_s, end_s = frames[0].time_s, frames[-1].time_s
        if sum(frame.lasts_s for frame in frames if frame.seen) < self._stream.seen_s - _ROUNDING_S:
            return Window(start_s, end_s, None)
        time_s = np.array([frame.time_s - start_s for frame in frames], np.float32)
        return Window(start_s, end_s, ClipInput(self._parts(), time_s, self._aspect))

    def _parts(self) -> dict[str, np.ndarray]:
        """Of all frames; a part that one of them lacks is missing there."""
        shapes = {part: points.shape for frame in self._frames for part, points in frame.parts.items()}
        return {
            part: np.stack(
                [
                    frame.parts[part] if part in frame.parts else np.full(shape, np.nan, np.float32)
                    for frame in self._frames
                ]
            )
            for part, shape in shapes.items()
        }
