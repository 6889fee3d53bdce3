"""Hands of one video, with the search for a second hand done only now and then while one hand is seen.

MediaPipe's tracker for two hands searches the whole frame for palms in each frame in which it follows fewer than two,
which doubles the cost of a video of one hand. Here a tracker for one hand takes over as soon as no second one is seen,
and the tracker for two looks again after `look_every_s`, and at the end. When a look finds more hands, the frames since
the look before it are gone through again with a new tracker for two: hands are not found late, and only a second hand
that comes and goes between two looks is missed.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol

from sigflow.landmarks.hands import HandDetection

MAX_WAITING_BYTES = 64 << 20  # of frames kept to go back to; a look empties them


class Tracker(Protocol):
    """One video's tracker; times increase strictly."""

    def detect(self, image: Any, time_ms: int) -> list[HandDetection]:
        """Hands of the next frame."""

    def close(self) -> None:
        """Free it."""


class HandTracker:
    """`open_tracker` gives a new tracker for one or two hands. `look_every_s` of 0 is MediaPipe alone."""

    def __init__(self, open_tracker: Callable[[int], Tracker], num_hands: int, look_every_s: float) -> None:
        self._open, self._look_every_ms = open_tracker, 1000 * look_every_s
        self._saving = num_hands == 2 and look_every_s > 0
        self._all: Tracker = open_tracker(num_hands)
        self._one: Tracker | None = None
        self._found: list[list[HandDetection]] = []
        self._not_before_ms = 0.0  # of the change to one tracker; the first frame may decide
        self._looked_ms = 0.0
        self._waiting: list[tuple[Any, int]] = []  # frames since the last look
        self._waiting_bytes = 0

    def add(self, image: Any, time_ms: int, size_bytes: int) -> None:
        """The video's next frame, and what it takes in memory."""
        if self._one is None:
            self._found.append(self._follow_all(image, time_ms))
            return
        self._waiting.append((image, time_ms))
        self._waiting_bytes += size_bytes
        self._found.append(self._one.detect(image, time_ms))
        if time_ms - self._looked_ms >= self._look_every_ms or self._waiting_bytes >= MAX_WAITING_BYTES:
            self._look()

    def newest(self) -> list[HandDetection]:
        """What is known now of the last frame, for a stream without an end; what no look will change is forgotten."""
        hands = self._found[-1]
        del self._found[: len(self._found) - len(self._waiting)]
        return hands

    def finish(self) -> list[list[HandDetection]]:
        """The hands of every frame, after the last look."""
        if self._waiting:
            self._look()
        return self._found

    def close(self) -> None:
        """Free the trackers, also if one of them refuses."""
        with ExitStack() as stack:
            for tracker in (self._all, self._one):
                if tracker is not None:
                    stack.callback(tracker.close)
            self._one = None

    def _follow_all(self, image: Any, time_ms: int) -> list[HandDetection]:
        hands = self._all.detect(image, time_ms)
        if len(hands) == 2:
            self._not_before_ms = time_ms + self._look_every_ms
        if not self._saving or len(hands) != 1 or time_ms < self._not_before_ms:
            return hands
        one = self._open(1)
        alone = one.detect(image, time_ms)
        if not alone:  # what is followed here might not be found afresh: stay, and try again later
            one.close()
            self._not_before_ms = time_ms + self._look_every_ms
            return hands
        self._one, self._looked_ms = one, time_ms
        return alone

    def _look(self) -> None:
        again, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._looked_ms = again[-1][1]
        if len(self._all.detect(*again[-1])) <= len(self._found[-1]):
            return
        fresh = self._open(2)  # a tracker never goes back in time
        self.close()
        self._all = fresh
        self._not_before_ms = self._looked_ms + self._look_every_ms
        self._found[-len(again) :] = [fresh.detect(*frame) for frame in again]
