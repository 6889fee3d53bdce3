"""What jobs are doing, as metrics that Ray exports to Prometheus: names there begin with `ray_sigflow_`.

Serving has its own (`serve.telemetry.meters`); serve/telemetry/grafana.json draws both.
"""

from functools import cache
from typing import NamedTuple

from ray.util import metrics


class Metric(NamedTuple):
    """What is exported, and by what it is told apart."""

    about: str
    tags: tuple[str, ...] = ()


COUNTERS = {
    "extract_clips_total": Metric("clips of extraction, by state: done, failed, skipped", ("state",)),
    "extract_frames_total": Metric("frames of clips that are done"),
    "train_epochs_total": Metric("epochs that folds have ended"),
    "train_folds_total": Metric("folds that are done"),
    "tune_trials_total": Metric("trials that ended, by state: complete, stopped, failed", ("state",)),
}
GAUGES = {
    "extract_clips_left": Metric("clips that extraction has still to do"),
    "train_folds_left": Metric("folds that training has still to do"),
}


def count(name: str, value: float, **tags: str) -> None:
    """So many more of a counter."""
    if value:
        _counter(name).inc(value, tags)


def say(name: str, value: float) -> None:
    """A gauge's value now."""
    _gauge(name).set(value)


@cache
def _counter(name: str) -> metrics.Counter:
    return metrics.Counter(f"sigflow_{name}", COUNTERS[name].about, COUNTERS[name].tags)


@cache
def _gauge(name: str) -> metrics.Gauge:
    return metrics.Gauge(f"sigflow_{name}", GAUGES[name].about, GAUGES[name].tags)
