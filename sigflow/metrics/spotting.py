"""Events of a stream against what was done in it: once, twice, missed, wrong; delays; false alarms per hour."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Done(NamedTuple):
    """What was done in the stream, and when. `label` None: nothing."""

    label: str | None
    start_s: float
    end_s: float


class Told(NamedTuple):
    """An event, and when it was told."""

    label: str
    start_s: float
    end_s: float
    at_s: float


def assigned(done: Sequence[Done], told: Sequence[Told]) -> list[int | None]:
    """Of each event the index in `done` of what it overlaps most; None: it overlaps nothing that is there.

    `done`: in order, none overlapping another.
    """
    starts, ends = (np.array([span[i] for span in done]) for i in (1, 2))
    found: list[int | None] = []
    for event in told:
        first, last = np.searchsorted(ends, event.start_s), np.searchsorted(starts, event.end_s, side="right")
        if first >= last:
            found.append(None)
            continue
        shared = np.minimum(ends[first:last], event.end_s) - np.maximum(starts[first:last], event.start_s)
        found.append(int(first + shared.argmax()))
    return found


def spotted(done: Sequence[Done], told: Sequence[Told], seconds: float) -> dict[str, Any]:
    """Figures of a stream of so many seconds, as plain JSON.

    Everything that was done is one of: `once`, one event, with its label; `twice`, several, all with its label;
    `wrong`, an event with another label; `missed`, none. False alarms are events where nothing was done;
    `negative_hours` is the time in which nothing was. Delays are from the movement's end, and from its start, to the
    telling, of what was found once.
    """
    given: list[list[Told]] = [[] for _ in done]
    alarms = 0
    for event, place in zip(told, assigned(done, told), strict=True):
        if place is None:
            alarms += 1
        else:
            given[place].append(event)
    kinds: dict[str, Counter[str]] = {}
    nothing = Counter[str]()
    from_end, from_start = [], []
    for span, events in zip(done, given, strict=True):
        if span.label is None:
            nothing.update({"clips": 1, "alarms": len(events)})
            continue
        kind = _kind(span.label, events)
        kinds.setdefault(span.label, Counter())[kind] += 1
        if kind == "once":
            from_end.append(events[0].at_s - span.end_s)
            from_start.append(events[0].at_s - span.start_s)
    total = sum(kinds.values(), Counter[str]())
    quiet_s = sum((span.end_s - span.start_s for span in done if span.label is None), 0.0)
    busy_s = sum((span.end_s - span.start_s for span in done if span.label is not None), 0.0)
    alarms += nothing["alarms"]
    return {
        **_counts(total),
        "delay_s": {"from_end": _spread(from_end), "from_start": _spread(from_start)},
        "false_alarms": alarms,
        "negative_hours": (seconds - busy_s) / 3600,
        "false_alarms_per_hour": _rate(alarms, seconds - busy_s),
        "nothing": {
            "clips": nothing["clips"],
            "false_alarms": nothing["alarms"],
            "hours": quiet_s / 3600,
            "false_alarms_per_hour": _rate(nothing["alarms"], quiet_s),
        },
        "per_label": {label: _counts(kinds[label]) for label in sorted(kinds)},
    }


def _kind(label: str, events: Sequence[Told]) -> str:
    if not events:
        return "missed"
    if any(event.label != label for event in events):
        return "wrong"
    return "once" if len(events) == 1 else "twice"


def _counts(kinds: Counter[str]) -> dict[str, int]:
    return {"done": kinds.total(), **{kind: kinds[kind] for kind in ("once", "twice", "missed", "wrong")}}


def _spread(delays_s: Sequence[float]) -> dict[str, float | None]:
    if not delays_s:
        return {"median": None, "p95": None}
    return {"median": float(np.median(delays_s)), "p95": float(np.quantile(delays_s, 0.95))}


def _rate(count: int, seconds: float) -> float | None:
    return count / (seconds / 3600) if seconds > 0 else None
