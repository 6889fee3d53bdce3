"""If these fail, windows come at the wrong times, a stream eats memory, or a gap joins two movements."""

import numpy as np
import pytest

from sigflow.bundle import Streaming
from sigflow.errors import UserError
from sigflow.spotting.windows import Break, Due, Window, Windows

STREAM = Streaming(window_s=1.0, hop_s=0.2, max_gap_s=0.5, seen_s=0.5, watched=("right_hand",))


def frames(count: int, *, seen: bool = True, channels: int = 3) -> dict[str, np.ndarray]:
    points = np.arange(count * channels, dtype=np.float32).reshape(count, channels)
    return {"right_hand": points if seen else np.full_like(points, np.nan)}


def pushed(windows: Windows, times: np.ndarray, *, seen: bool = True) -> list[Due]:
    return list(windows.push(times, frames(len(times), seen=seen), 1.5))


def ends(dues: list[Due]) -> list[float]:
    return [round(due.end_s, 3) for due in dues if isinstance(due, Window)]


def test_a_window_is_due_every_hop_and_reaches_back_its_length() -> None:
    windows = Windows(STREAM)
    dues = pushed(windows, 100 + np.arange(60) / 25)
    assert ends(dues) == pytest.approx([100 + 0.2 * n for n in range(1, 12)])
    last = dues[-1]
    assert isinstance(last, Window)
    assert last.clip is not None
    assert len(last.clip.time_s) == 25
    assert last.clip.time_s[0] == 0
    assert last.clip.time_s[-1] == pytest.approx(0.96)
    assert last.start_s == pytest.approx(last.end_s - 0.96)
    assert last.clip.parts["right_hand"][-1].tolist() == [165, 166, 167]
    assert last.clip.aspect == 1.5


def test_a_window_in_which_too_little_was_seen_means_nothing() -> None:
    windows = Windows(STREAM)
    dues = pushed(windows, np.arange(50) / 25, seen=False)
    assert len(ends(dues)) == 9
    assert all(isinstance(due, Window) and due.clip is None for due in dues)
    dues = pushed(windows, 2 + np.arange(25) / 25)
    assert [due.clip is not None for due in dues if isinstance(due, Window)] == [False, False, False, True, True]


def test_what_is_not_watched_does_not_count_as_seen() -> None:
    windows = Windows(STREAM)
    parts = frames(50, seen=False) | {"pose": np.ones((50, 3), np.float32)}
    dues = list(windows.push(np.arange(50) / 25, parts, 1.0))
    assert all(isinstance(due, Window) and due.clip is None for due in dues)


@pytest.mark.parametrize(("after", "reason"), [(2.0, "gap"), (0.3, "clock"), (-1e9, "clock"), (1e9, "gap")])
def test_a_gap_or_a_jump_of_the_clock_ends_what_was_and_begins_anew(after: float, reason: str) -> None:
    windows = Windows(STREAM)
    pushed(windows, np.arange(24) / 25)
    last_s = 23 / 25
    dues = pushed(windows, last_s + after - (last_s if reason == "clock" else 0) + np.arange(10) / 25)
    assert isinstance(dues[0], Window)
    assert dues[0].end_s == last_s
    assert dues[1] == Break(reason, last_s)  # type: ignore[arg-type]
    assert all(isinstance(due, Window) and due.clip is None for due in dues[2:])
    assert len(windows) == 10


def test_a_gap_that_is_no_longer_than_allowed_does_not_matter() -> None:
    windows = Windows(STREAM)
    pushed(windows, np.arange(25) / 25)
    assert not any(isinstance(due, Break) for due in pushed(windows, 1.4 + np.arange(25) / 25))


def test_a_frame_that_is_sent_twice_counts_once() -> None:
    windows = Windows(STREAM)
    times = np.repeat(np.arange(25) / 25, 2)
    assert ends(pushed(windows, times)) == [0.2, 0.4, 0.6, 0.8]
    assert len(windows) == 25


def test_the_end_gives_what_no_window_had_and_then_nothing_more() -> None:
    windows = Windows(STREAM)
    pushed(windows, np.arange(24) / 25)
    last, stop = windows.end()
    assert isinstance(last, Window)
    assert last.end_s == 23 / 25
    assert stop == Break("end", 23 / 25)
    assert list(windows.end()) == []
    assert list(Windows(STREAM).end()) == []


def test_an_endless_stream_holds_one_window() -> None:
    windows = Windows(STREAM)
    for block in range(100):
        assert len(list(windows.push((block * 1000 + np.arange(1000)) / 30, frames(1000), 1.0))) >= 166
        assert len(windows) <= 31


def test_more_frames_than_are_held_are_refused() -> None:
    with pytest.raises(UserError, match=r"over 50 frames in 1 s; send fewer a second"):
        list(Windows(STREAM, most_frames=50).push(np.arange(200) / 1000, frames(200), 1.0))
