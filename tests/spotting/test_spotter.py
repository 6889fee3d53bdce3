"""If these fail, what a client gets depends on how it packs its frames, or old bundles cannot be streamed to."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.bundle import Streaming
from sigflow.spotting import Break, Event, Spotter, fitted

STREAM = Streaming(
    window_s=0.6, hop_s=0.12, max_gap_s=0.5, seen_s=0.3, smoothing_s=0.12, lasting_s=0.12, watched=("right_hand",)
)
LABELS = ("left", "right")


def recording(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Times, with gaps and jumps, and a hand that shows where its owner points: x below or above 0, or nothing."""
    rng = np.random.default_rng(seed)
    steps_s = rng.choice([0.04, 0.05, 0.7, -3.0], 200, p=[0.6, 0.38, 0.01, 0.01])
    side = np.repeat(rng.choice([-1.0, 1.0, np.nan], 10), 20)
    return steps_s.cumsum(), side.astype(np.float32)[:, None] * np.ones((1, 3), np.float32)


def spotted(times: np.ndarray, points: np.ndarray, cuts: list[int]) -> list[Event | Break]:
    """Events and breaks of the recording, sent in blocks that end at `cuts`."""
    spotter = Spotter(STREAM, LABELS, sentences=False)
    found: list[Event | Break] = []
    dues = [
        due
        for start, end in pairwise([0, *cuts, len(times)])
        for due in spotter.push(times[start:end], {"right_hand": points[start:end]}, 1.0)
    ]
    for due in [*dues, *spotter.end()]:
        probs = None
        if not isinstance(due, Break) and due.clip is not None:
            share = float(np.mean(due.clip.parts["right_hand"] > 0))
            probs = np.array([1 - share, share])
        found += spotter.decide(due, probs)
        if isinstance(due, Break):
            found.append(due)
    return found


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 200), max_size=30))
def test_events_do_not_depend_on_how_frames_are_packed(seed: int, cuts: list[int]) -> None:
    times, points = recording(seed)
    assert spotted(times, points, sorted(cuts)) == spotted(times, points, [])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000))
def test_events_lie_in_the_stretch_of_the_stream_in_which_they_were_told(seed: int) -> None:
    times, points = recording(seed)
    new = [0, *(i for i, step_s in enumerate(np.diff(times), 1) if not 0 < step_s <= STREAM.max_gap_s), len(times)]
    stretches = iter([(times[start], times[end - 1]) for start, end in pairwise(new)])
    low, high = next(stretches)
    for each in spotted(times, points, []):
        if isinstance(each, Event):
            assert low <= each.start_s <= each.end_s <= each.at_s <= high
        else:
            assert each.at_s == high
            low, high = next(stretches, (np.inf, np.inf))
    assert low == np.inf


def test_settings_come_from_the_clips_that_were_learnt() -> None:
    signs = fitted(("-", "hello"), ("left_hand", "right_hand", "pose"), [0.9, 1.0, 7.0], sentences=False)
    assert (signs.window_s, signs.hop_s, signs.ignored) == (1.0, 0.2, ("-",))
    assert signs.watched == ("left_hand", "right_hand")
    falls = fitted(("ADL", "Fall"), ("pose",), [6.0], sentences=False)
    assert (falls.window_s, falls.ignored, falls.watched) == (6.0, ("ADL",), ("pose",))
    unsure = [fitted(tuple(labels), ("raw",), (), [0.4] * 20, sentences=False) for labels in ("ab", "abcdef")]
    assert [(each.on, each.off) for each in unsure] == [(0.5, 0.33), (0.3, 0.2)]
    assert falls.on == 0.6
    assert fitted(("a", "b"), ("raw",), [600.0, float("nan")], sentences=False).window_s == 10.0
    assert fitted(("a", "b"), ("raw",), [], sentences=True).window_s == 4.0
