"""If these fail, a movement is told twice or never, an alarm repeats itself, or doing nothing is told as something."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sigflow.bundle import Streaming
from sigflow.spotting.events import Event, Events

HOP_S, WINDOW_S = 0.2, 1.0
LABELS = ("-", "hello", "water")
STREAM = Streaming(
    window_s=WINDOW_S, hop_s=HOP_S, smoothing_s=0.0, on=0.7, off=0.4, lasting_s=0.2, cool_down_s=0.5, ignored=("-",)
)
NONE = (1.0, 0.0, 0.0)
HELLO, WATER = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def told(stream: Streaming, said: Sequence[Sequence[float] | None], *, end: bool = True) -> list[Event]:
    """Events of windows that say this, the first one from 0 to 1 s."""
    events, found = Events(stream, LABELS), []
    for number, probs in enumerate(said):
        start_s = number * HOP_S
        found += events.take(start_s, start_s + WINDOW_S, None if probs is None else np.array(probs))
    return found + (events.end((len(said) - 1) * HOP_S + WINDOW_S) if end else [])


def changed(**values: object) -> Streaming:
    return STREAM.model_copy(update=values)


def test_a_movement_is_told_once_as_soon_as_it_is_sure_and_when_it_is_over_if_asked_so() -> None:
    said = [NONE] * 3 + [HELLO] * 5 + [NONE] * 5
    (begun,) = told(STREAM, said)
    assert (begun.label, begun.prob) == ("hello", 1.0)
    assert begun.at_s == pytest.approx(4 * HOP_S + WINDOW_S)  # its second window
    (ended,) = told(changed(told="ended"), said)
    assert ended.at_s == pytest.approx(8 * HOP_S + WINDOW_S)
    assert (begun.start_s, ended.start_s) == pytest.approx((1.1, 1.1))  # the middle of its first window
    assert ended.end_s == pytest.approx(7 * HOP_S + WINDOW_S / 2)


def test_between_the_thresholds_it_goes_on_and_does_not_begin() -> None:
    half = (0.5, 0.5, 0.0)
    assert told(STREAM, [half] * 20) == []
    assert len(told(STREAM, [HELLO, HELLO, half, half, half, HELLO, HELLO, NONE])) == 1
    low = (0.7, 0.3, 0.0)
    assert len(told(changed(cool_down_s=0.0), [HELLO, HELLO, low, HELLO, HELLO, NONE])) == 2


def test_after_an_event_the_same_label_waits_and_others_do_not() -> None:
    again = [HELLO, HELLO, NONE, HELLO, HELLO, NONE]
    assert [event.label for event in told(STREAM, again)] == ["hello"]
    assert [event.label for event in told(changed(cool_down_s=0.0), again)] == ["hello", "hello"]
    assert [event.label for event in told(STREAM, [HELLO, HELLO, WATER, WATER, NONE])] == ["hello", "water"]


def test_an_alarm_that_goes_on_for_ten_minutes_is_one() -> None:
    assert len(told(STREAM, [HELLO] * 3_000)) == 1


def test_what_flickers_is_no_event() -> None:
    assert told(STREAM, [HELLO, NONE, WATER, NONE, HELLO, WATER] * 10) == []
    smooth = changed(smoothing_s=0.4, lasting_s=0.0)
    assert told(smooth, [HELLO, NONE, NONE, WATER, NONE, NONE] * 10) == []
    assert [event.label for event in told(smooth, [HELLO] * 6)] == ["hello"]


def test_a_label_that_another_overtakes_before_it_is_sure_was_none() -> None:
    (event,) = told(STREAM, [NONE, WATER, HELLO, HELLO, HELLO, NONE])
    assert event.label == "hello"


def test_nothing_is_never_an_event_nor_is_what_was_not_seen() -> None:
    assert told(STREAM, [NONE] * 50) == []
    assert told(STREAM, [None] * 50) == []
    (event,) = told(changed(told="ended"), [HELLO] * 3 + [None] * 3, end=False)
    assert event.end_s == pytest.approx(2 * HOP_S + WINDOW_S / 2)


def test_what_goes_on_in_the_end_is_told_and_what_follows_begins_anew() -> None:
    events = Events(changed(told="ended"), LABELS)
    for number in range(3):
        assert events.take(number * HOP_S, number * HOP_S + WINDOW_S, np.array(HELLO)) == []
    (event,) = events.end(1.4)
    assert (event.label, event.at_s) == ("hello", 1.4)
    assert events.end(1.4) == []
    earlier = [events.take(-5 + number * HOP_S, -4 + number * HOP_S, np.array(HELLO)) for number in range(3)]
    assert earlier == [[], [], []]
    assert events.end(-3.6)[0].start_s == pytest.approx(-4.5)


@settings(deadline=None, max_examples=50)
@given(
    said=arrays(np.float64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.floats(0, 1)),
    missing=st.sets(st.integers(0, 59)),
    smoothing_s=st.sampled_from([0.0, 0.2]),
    lasting_s=st.sampled_from([0.0, 0.2, 0.4]),
    when=st.sampled_from(["begun", "ended"]),
)
def test_whatever_windows_say_events_are_in_order_apart_and_within_the_stream(
    said: np.ndarray, missing: set[int], smoothing_s: float, lasting_s: float, when: str
) -> None:
    stream = changed(smoothing_s=smoothing_s, lasting_s=lasting_s, told=when, cool_down_s=0.0)
    found = told(stream, [None if number in missing else probs.tolist() for number, probs in enumerate(said)])
    for event in found:
        assert event.label != "-"
        assert 0 <= event.start_s <= event.end_s <= event.at_s <= (len(said) - 1) * HOP_S + WINDOW_S + 1e-9
        assert 0.7 <= event.prob <= 1 + 1e-9
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s
        assert before.at_s <= after.at_s
