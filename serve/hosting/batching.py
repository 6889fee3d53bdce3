"""Many requests, one run of the graph.

Nothing waits for company: whoever comes to an idle model is answered at once, and those who come while it is busy are
answered together next. Clips of a batch are of like length, as the shorter ones are padded; padding changes no answer.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from serve.problems import RETRY_AFTER, ProblemError
from sigflow.predictor import Answer, ClipInput, Predictor

_LIKE = 2.0  # the longest clip of a batch is at most so many times as long as the shortest


class _Waiting(NamedTuple):
    clip: ClipInput
    votes: bool
    answer: "asyncio.Future[Answer]"


class Batcher:
    """Answers for one model, in the event loop that first asks.

    Args:
        together: whether clips of several requests may share a run. Not where company changes answers.
        most_waiting: clips; more are refused.
        batch_frames: clips x frames of the longest in one run; one clip alone may have more.
        told: before each run of its clips, and of those that still wait.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        together: bool = True,
        most_waiting: int = 512,
        batch_frames: int = 8192,
        told: Callable[[int, int], None] = lambda clips, waiting: None,
    ) -> None:
        self._predictor, self._together = predictor, together
        self._most_waiting, self._batch_frames = most_waiting, batch_frames
        self._told = told
        self._waiting: deque[_Waiting] = deque()
        self._running: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graph")
        self._began: float | None = None  # monotonic s, of the run that goes on

    @property
    def waiting(self) -> int:
        """Clips."""
        return len(self._waiting)

    @property
    def running_s(self) -> float:
        """How long the run that goes on has taken; 0 where none does."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    async def answers(self, clips: Sequence[ClipInput], *, votes: bool = False) -> list[Answer]:
        """Of each clip.

        Raises:
            ProblemError: 503, too many are waiting.
        """
        if self._waiting and len(self._waiting) + len(clips) > self._most_waiting:
            raise ProblemError(503, "too many clips are waiting; try again, or add replicas", RETRY_AFTER)
        loop = asyncio.get_running_loop()
        asked = [_Waiting(clip, votes, loop.create_future()) for clip in clips]
        self._waiting.extend(asked)
        if self._running is None:
            self._running = loop.create_task(self._run())
        try:
            return await asyncio.gather(*(each.answer for each in asked))
        finally:  # nobody waits for the rest of a request that was given up
            for each in asked:
                each.answer.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next():
                self._told(len(batch), self.waiting)
                self._began = time.monotonic()
                try:
                    given = await loop.run_in_executor(self._thread, self._predict, batch)
                except Exception as error:
                    for each in batch:
                        if not each.answer.done():
                            each.answer.set_exception(error)
                    continue
                for each, answer in zip(batch, given, strict=True):
                    if not each.answer.done():
                        each.answer.set_result(answer)
        finally:
            self._running = self._began = None

    def _predict(self, batch: Sequence[_Waiting]) -> list[Answer]:
        clips = [each.clip for each in batch]
        return self._predictor.answers(clips, votes=any(each.votes for each in batch))

    def _next(self) -> list[_Waiting]:
        """The first that waits, and those of its length behind it that fit beside it."""
        batch: list[_Waiting] = []
        passed: deque[_Waiting] = deque()
        shortest = longest = 0
        while self._waiting:
            each = self._waiting.popleft()
            if each.answer.done():
                continue
            frames = len(each.clip.time_s)
            low, high = (min(shortest, frames), max(longest, frames)) if batch else (frames, frames)
            fits = high <= _LIKE * low and high * (len(batch) + 1) <= self._batch_frames
            if batch and not (self._together and fits):
                passed.append(each)
                continue
            batch.append(each)
            shortest, longest = low, high
        self._waiting = passed
        return batch
