"""If these fail, a signed sentence loses glosses at the windows' edges, or gets them twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.bundle import Streaming
from sigflow.spotting.events import Event
from sigflow.spotting.glosses import Glosses

LABELS = ("<blank>", "hello", "water", "-")
STREAM = Streaming(window_s=3.0, hop_s=0.3, stable_s=0.75, ignored=("-",))
FPS = 25
Signed = list[tuple[int, float]]  # class, and when its spike is


def frame_probs(time_s_T: np.ndarray, signed: Signed, *, blind_s: float = 0.0) -> np.ndarray:
    """Spikes of 0.12 s; within `blind_s` of the window's ends the recogniser says something else."""
    best_T = np.zeros(len(time_s_T), int)
    for k, at_s in signed:
        best_T[abs(time_s_T - at_s) <= 0.06] = k
    near_T = (time_s_T < time_s_T[0] + blind_s) | (time_s_T > time_s_T[-1] - blind_s)
    best_T[near_T & (best_T > 0)] = 1
    return np.full((len(time_s_T), len(LABELS)), 0.02) + 0.94 * np.eye(len(LABELS))[best_T]


def told(signed: Signed, seconds: float, *, blind_s: float = 0.0) -> list[Event]:
    glosses, found = Glosses(STREAM, LABELS), []
    for end in range(8, int(seconds * FPS), 8):
        time_s_T = np.arange(max(0, end - 3 * FPS + 1), end + 1) / FPS
        probs_TK = frame_probs(time_s_T, signed, blind_s=blind_s)
        found += glosses.take(float(time_s_T[0]), float(time_s_T[-1]), probs_TK, time_s_T)
    return found + glosses.end(seconds)


def test_glosses_are_told_once_in_order_when_enough_was_seen_after_them() -> None:
    signed = [(1, 1.0), (2, 1.8), (1, 3.0), (1, 3.6), (2, 8.0)]
    found = told(signed, 12.0)
    assert [event.label for event in found] == ["hello", "water", "hello", "hello", "water"]
    for event, (_, at_s) in zip(found, signed, strict=True):
        assert event.start_s <= at_s <= event.end_s
        assert STREAM.stable_s <= event.at_s - event.end_s <= STREAM.stable_s + 2 * 0.32 + 0.1
        assert event.prob == pytest.approx(0.96)


def test_what_a_window_says_near_its_ends_is_not_believed() -> None:
    found = told([(2, 1.5), (2, 4.0), (2, 7.5)], 11.0, blind_s=0.3)
    assert [event.label for event in found] == ["water"] * 3


def test_in_the_end_the_last_window_is_believed_as_it_is() -> None:
    assert [event.label for event in told([(1, 1.0), (2, 3.8)], 4.0)] == ["hello", "water"]


def test_blanks_ignored_labels_and_what_was_not_seen_are_no_events() -> None:
    assert told([], 10.0) == []
    assert told([(3, 2.0)], 10.0) == []
    glosses = Glosses(STREAM, LABELS)
    for number in range(50):
        assert glosses.take(number * 0.3, number * 0.3 + 3, None, np.zeros(0)) == []
    assert glosses.end(20.0) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 2), st.floats(0.45, 1.5)), max_size=12))
def test_any_sentence_comes_back_as_it_was_signed(steps: list[tuple[int, float]]) -> None:
    signed, now_s = [], 0.0
    for k, pause_s in steps:
        now_s += pause_s
        signed.append((k, now_s))
    found = told(signed, now_s + 3.0)
    assert [event.label for event in found] == [LABELS[k] for k, _ in signed]
    assert all(before.end_s <= after.start_s for before, after in pairwise(found))
