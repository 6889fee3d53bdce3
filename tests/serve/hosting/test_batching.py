"""If these fail, clips wait for company in vain, get each other's answers, or pile up without end."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from serve.hosting.batching import Batcher
from serve.problems import ProblemError
from sigflow.bundle import read_bundle
from sigflow.predictor import Answer, ClipInput, Predictor
from sigflow.storage import Location


def clip(frames: int, seed: int = 0) -> ClipInput:
    points = np.random.default_rng(seed).uniform(0.2, 0.8, (frames, 21, 3)).astype(np.float32)
    return ClipInput({"right_hand": points}, np.arange(frames, dtype=np.float32) / 30, 4 / 3)


class Held(Predictor):
    """A real predictor that waits for a sign before each run, and tells what it ran."""

    def __init__(self, place: Location) -> None:
        super().__init__(read_bundle(place))
        self.go, self.runs = threading.Semaphore(0), list[list[int]]()

    def answers(self, clips: Sequence[ClipInput], *, votes: bool = False) -> list[Answer]:
        self.go.acquire()
        self.runs.append([len(each.time_s) for each in clips])
        return super().answers(clips, votes=votes)


@pytest.fixture
def held(exported_bundle: Location) -> Held:
    return Held(exported_bundle)


async def asked(batcher: Batcher, clips: Sequence[ClipInput]) -> list["asyncio.Task[list[Answer]]"]:
    """One request for each clip: the first is computed, the others came when it had begun."""
    tasks = []
    for each in clips:
        tasks.append(asyncio.create_task(batcher.answers([each])))
        for _ in range(3):  # it asks; the batcher begins; the graph runs
            await asyncio.sleep(0)
    return tasks


def test_those_who_come_while_it_is_busy_are_answered_together_with_their_own_answers(held: Held) -> None:
    clips = [clip(30, seed) for seed in range(6)]

    async def main() -> list[Answer]:
        tasks = await asked(Batcher(held), clips)
        held.go.release(10)
        return [answer for task in tasks for answer in await task]

    answers = asyncio.run(main())
    assert held.runs == [[30], [30] * 5]
    held.go.release(10)
    for each, answer in zip(clips, answers, strict=True):
        (alone,) = held.predict([each])
        assert answer.probs == pytest.approx(alone, abs=1e-6)


def test_a_batch_has_clips_of_like_length_and_nobody_is_passed_over_for_long(held: Held) -> None:
    async def main() -> None:
        tasks = await asked(Batcher(held), [clip(frames) for frames in (10, 10, 100, 15, 90, 25)])
        held.go.release(10)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert held.runs == [[10], [10, 15], [100, 90], [25]]


def test_a_batch_is_no_larger_than_its_memory_allows(held: Held) -> None:
    async def main() -> None:
        tasks = await asked(Batcher(held, batch_frames=100), [clip(40)] * 5 + [clip(300)])
        held.go.release(10)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert held.runs == [[40], [40, 40], [40, 40], [300]]


def test_where_company_changes_answers_each_clip_runs_alone(held: Held) -> None:
    async def main() -> None:
        tasks = await asked(Batcher(held, together=False), [clip(40)] * 3)
        held.go.release(10)
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert held.runs == [[40]] * 3


def test_more_than_may_wait_are_refused_and_the_others_answered(held: Held) -> None:
    async def main() -> None:
        batcher = Batcher(held, most_waiting=2)
        tasks = await asked(batcher, [clip(10)] * 3)
        with pytest.raises(ProblemError) as refused:
            await batcher.answers([clip(10)])
        assert refused.value.status == 503
        assert refused.value.headers == {"Retry-After": "1"}
        held.go.release(10)
        assert len(await asyncio.gather(*tasks)) == 3

    asyncio.run(main())


def test_nobody_computes_for_a_request_that_was_given_up(held: Held) -> None:
    async def main() -> None:
        batcher = Batcher(held)
        first, second, third = await asked(batcher, [clip(10), clip(11), clip(12)])
        second.cancel()
        held.go.release(10)
        await asyncio.gather(first, third)

    asyncio.run(main())
    assert held.runs == [[10], [12]]


def test_an_error_reaches_those_it_concerns_and_the_next_are_answered(held: Held) -> None:
    wrong = ClipInput({"right_hand": np.zeros((10, 20, 3), np.float32)}, np.arange(10, dtype=np.float32), 1.0)

    async def main() -> None:
        batcher = Batcher(held)
        held.go.release(10)
        with pytest.raises(ValueError, match="broadcast"):
            await batcher.answers([wrong])
        assert len(await batcher.answers([clip(10)])) == 1

    asyncio.run(main())
