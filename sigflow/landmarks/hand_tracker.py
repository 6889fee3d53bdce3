"""Hands of one video, with the search for a second hand done only now and then while one hand is seen.

MediaPipe's tracker for two hands searches the whole frame for palms in each frame in which it follows fewer than two,
which doubles the cost of a video of one hand. Here a tracker for one hand takes over as soon as no second one is seen,
and the tracker for two looks at each `look_every`-th frame. When a look finds a second hand, the frames since the look
before it are gone through again with the tracker for two: it is not found late, and only a second hand that comes and
goes between two looks is missed.
"""

from collections.abc import Callable
from typing import Any, Protocol

from sigflow.landmarks.hands import HandDetection


class Tracker(Protocol):
    """One video's tracker; times increase strictly."""

    def detect(self, image: Any, time_ms: int) -> list[HandDetection]:
        """Hands of the next frame."""

    def close(self) -> None:
        """Free it."""


class HandTracker:
    """`open_tracker` gives a new tracker for one or two hands. `look_every` of 1 is MediaPipe alone."""

    def __init__(self, open_tracker: Callable[[int], Tracker], num_hands: int, look_every: int) -> None:
        self._open, self._look_every = open_tracker, look_every if num_hands == 2 else 1
        self._all = open_tracker(num_hands)
        self._one: Tracker | None = None
        self._found: list[list[HandDetection]] = []
        self._alone = look_every - 1  # frames with one hand since there were two; at the start the first one decides
        self._since_look: list[tuple[Any, int]] = []

    def add(self, image: Any, time_ms: int) -> None:
        """The video's next frame."""
        if self._one is None:
            self._follow_all(image, time_ms)
        else:
            self._since_look.append((image, time_ms))
            self._found.append(self._one.detect(image, time_ms))
            if len(self._since_look) == self._look_every:
                self._look()

    def finish(self) -> list[list[HandDetection]]:
        """The hands of every frame."""
        return self._found

    def close(self) -> None:
        """Free the trackers."""
        for tracker in (self._all, self._one):
            if tracker is not None:
                tracker.close()

    def _follow_all(self, image: Any, time_ms: int) -> None:
        hands = self._all.detect(image, time_ms)
        self._alone = {0: self._alone, 1: self._alone + 1, 2: 0}[len(hands)]
        if self._look_every > 1 and self._alone >= self._look_every and hands:
            self._one = self._open(1)
            hands = self._one.detect(image, time_ms)
        self._found.append(hands)

    def _look(self) -> None:
        again, self._since_look = self._since_look, []
        if len(self._all.detect(*again[-1])) < 2:
            return
        self.close()
        self._one, self._alone = None, 0
        self._all = self._open(2)  # a tracker never goes back in time
        self._found[-len(again) :] = [self._all.detect(*frame) for frame in again]
