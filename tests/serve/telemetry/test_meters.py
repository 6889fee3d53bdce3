"""If these fail, dashboards show other figures than there were."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from ray.util import metrics

from serve.telemetry import meters

TAGS = {"model": "signs", "version": "1"}
Told = list[tuple[str, float, Mapping[str, str] | None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What reaches Ray's metrics."""
    seen: Told = []

    def note(name: str) -> object:
        return lambda self, value=1.0, tags=None: seen.append((name, value, tags))

    for kind, method in ((metrics.Counter, "inc"), (metrics.Gauge, "set"), (metrics.Histogram, "observe")):
        monkeypatch.setattr(kind, method, note(method))
    meters._made.cache_clear()
    yield seen
    meters._made.cache_clear()


def test_sums_latest_values_and_every_measurement_reach_ray(told: Told) -> None:
    async def serve() -> None:
        meter = meters.Meters()
        for k in range(3):
            meter("clips_total", 2, TAGS)
            meter("waiting_clips", k, TAGS)
            meter("batch_clips", k, TAGS)
        meter("clips_total", 1, TAGS | {"version": "2"})
        while not told:
            await asyncio.sleep(0)
        meter("clips_total", 5, TAGS)
        while told[-1][1] != 5:
            await asyncio.sleep(0)

    asyncio.run(serve())
    assert told == [
        ("inc", 6, TAGS), ("inc", 1, TAGS | {"version": "2"}), ("set", 2, TAGS),
        ("observe", 0, TAGS), ("observe", 1, TAGS), ("observe", 2, TAGS), ("inc", 5, TAGS),
    ]  # fmt: skip
