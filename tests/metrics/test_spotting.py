"""If these fail, a stream that tells signs twice or alarms for nothing looks better than it is."""

import pytest

from sigflow.metrics.spotting import Done, Told, assigned, spotted

DONE = (
    Done("a", 1.0, 2.0), Done("b", 3.0, 4.0), Done(None, 5.0, 7.0), Done("a", 8.0, 9.0), Done("b", 10.0, 11.0),
)  # fmt: skip


def test_events_belong_to_what_they_overlap_most() -> None:
    told = [Told("a", 0.0, 0.9, 1.0), Told("a", 1.9, 3.5, 4.0), Told("b", 2.0, 3.0, 3.0), Told("b", 20.0, 21.0, 21.0)]
    assert assigned(DONE, told)[:2] == [None, 1]
    assert assigned(DONE, told)[3] is None
    assert assigned(DONE, []) == []


def test_everything_that_was_done_is_found_once_twice_wrongly_or_not() -> None:
    told = [
        Told("a", 1.1, 1.9, 2.2), Told("b", 3.1, 3.4, 3.5), Told("b", 3.5, 3.9, 4.0), Told("a", 5.5, 6.0, 6.1),
        Told("b", 8.2, 8.8, 9.5), Told("a", 12.0, 12.5, 13.0),
    ]  # fmt: skip
    figures = spotted(DONE, told, 14.0)
    assert {name: figures[name] for name in ("done", "once", "twice", "missed", "wrong")} == {
        "done": 4, "once": 1, "twice": 1, "missed": 1, "wrong": 1,
    }  # fmt: skip
    assert figures["per_label"]["a"] == {"done": 2, "once": 1, "twice": 0, "missed": 0, "wrong": 1}
    assert figures["delay_s"]["from_end"]["median"] == pytest.approx(0.2)
    assert figures["delay_s"]["from_start"]["p95"] == pytest.approx(1.2)
    assert figures["false_alarms"] == 2
    assert figures["negative_hours"] == pytest.approx(10 / 3600)
    assert figures["false_alarms_per_hour"] == pytest.approx(720)
    assert figures["nothing"] == pytest.approx(
        {"clips": 1, "false_alarms": 1, "hours": 2 / 3600, "false_alarms_per_hour": 1800}
    )


def test_of_no_event_and_no_quiet_time_nothing_can_be_said() -> None:
    figures = spotted([Done("a", 0.0, 1.0)], [], 1.0)
    assert (figures["missed"], figures["false_alarms"], figures["false_alarms_per_hour"]) == (1, 0, None)
    assert figures["delay_s"]["from_end"] == {"median": None, "p95": None}
