"""Metrics as Ray exports them to Prometheus, from every node: names there begin with `ray_sigflow_`."""

import asyncio
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

from ray.util import metrics

from serve.telemetry.signals import Tags

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # a metric's name, and its tags
_TOLD_EVERY_S = 0.1
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_SHARE = (0.001, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99)  # above 0: a bucket's bound
_CLIPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metric(NamedTuple):
    """What is exported, and by what it is told apart."""

    kind: Kind
    about: str
    tags: tuple[str, ...]
    bounds: Sequence[float] = ()


_MODEL = ("model", "version")
METRICS: dict[str, Metric] = {
    "requests_total": Metric("counter", "requests answered, by status", ("route", "model", "status")),
    "request_seconds": Metric("histogram", "from head to answer's end", ("route", "model"), _SECONDS),
    "open_requests": Metric("gauge", "requests and streams that are being answered", ()),
    "clips_total": Metric("counter", "clips answered", _MODEL),
    "labels_total": Metric("counter", "answers by label", (*_MODEL, "label")),
    "missing_ratio": Metric("histogram", "share of a clip's frames without any detection", _MODEL, _SHARE),
    "batch_clips": Metric("histogram", "clips of a run of the graph", _MODEL, _CLIPS),
    "waiting_clips": Metric("gauge", "clips that wait for a run of the graph", _MODEL),
    "diversity": Metric("gauge", "entropy of the last answers, over that of all labels alike", _MODEL),
    "top_share": Metric("gauge", "share of the commonest of the last answers", _MODEL),
    "drift": Metric("gauge", "of the last answers from those on clips that the bundle had not seen, in bits", _MODEL),
    "collapsed": Metric("gauge", "1: the last answers have less than half of the diversity that they should", _MODEL),
    "shadow_answers_total": Metric("counter", "answers of a shadow, by whether they agree", (*_MODEL, "agrees")),
}


@cache
def _made(name: str) -> metrics.Counter | metrics.Gauge | metrics.Histogram:
    metric = METRICS[name]
    match metric.kind:
        case "counter":
            return metrics.Counter(f"sigflow_{name}", metric.about, metric.tags)
        case "gauge":
            return metrics.Gauge(f"sigflow_{name}", metric.about, metric.tags)
        case "histogram":
            return metrics.Histogram(f"sigflow_{name}", metric.about, list(metric.bounds), metric.tags)


class Meters:
    """A `signals.Meter` for a replica of Ray Serve.

    Ray takes its time for each figure, of which a request has a dozen: sums and latest values are enough for it.
    """

    def __init__(self) -> None:
        self._sums: dict[_Key, float] = {}
        self._last: dict[_Key, float] = {}
        self._seen: list[tuple[_Key, float]] = []
        self._waits = False

    def __call__(self, name: str, value: float, tags: Tags) -> None:
        """From within the event loop."""
        key = name, tuple(tags.items())
        match METRICS[name].kind:
            case "counter":
                self._sums[key] = self._sums.get(key, 0) + value
            case "gauge":
                self._last[key] = value
            case "histogram":
                self._seen.append((key, value))
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(_TOLD_EVERY_S, self.tell)

    def tell(self) -> None:
        """Hand over what waits."""
        waiting = [*self._sums.items(), *self._last.items(), *self._seen]
        self._sums.clear()
        self._last.clear()
        self._seen.clear()
        self._waits = False
        for (name, tags), value in waiting:
            match _made(name):
                case metrics.Counter() as counter:
                    counter.inc(value, dict(tags))
                case metrics.Gauge() as gauge:
                    gauge.set(value, dict(tags))
                case metrics.Histogram() as histogram:
                    histogram.observe(value, dict(tags))
