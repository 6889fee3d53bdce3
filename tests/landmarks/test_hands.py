"""If these fail, left and right hands change places or vanish from the stored landmarks."""

from dataclasses import replace

import numpy as np
import pytest

from sigflow.landmarks.hands import HandDetection, LiveSides, assign_sides, repaired
from sigflow.landmarks.synthetic import SUBJECTS, gesture_pose
from sigflow.landmarks.synthetic.render import true_landmarks

ADA = SUBJECTS[0]
CAMERA = replace(ADA.camera, width=640, height=480, hand_px=100.0)
ASPECT = 640 / 480
Frames = list[list[HandDetection]]
Sides = list[dict[str, HandDetection]]


def hand(x: float, y: float = 0.5, *, left: bool = False, word: str | None = None, score: float = 0.9) -> HandDetection:
    """An open hand with its palm to the camera, its wrist at x, y of the picture."""
    points_P2 = true_landmarks(gesture_pose("wave", 0.0, left=left), ADA.look, CAMERA)
    points_P3 = np.zeros((21, 3), np.float32)
    points_P3[:, :2] = points_P2 - points_P2[0] + (x, y)
    return HandDetection(points_P3, points_P3, word or ("Left" if left else "Right"), score)


def two_hands(path: list[tuple[float, float]]) -> Frames:
    """The right hand at the first x, the left hand at the second, frame after frame."""
    return [[hand(right), hand(left, 0.55, left=True)] for right, left in path]


def wrists_x(sides: Sides, side: str) -> list[float]:
    return [round(float(frame[side].image_P3[0, 0]), 3) for frame in sides]


APART = [(0.3, 0.7)] * 12
CROSSING = [(0.25 + 0.04 * t, 0.75 - 0.04 * t) for t in range(13)]


@pytest.mark.parametrize("path", [APART, CROSSING], ids=["apart", "crossing"])
def test_hands_that_are_named_right_stay_as_they_are(path: list[tuple[float, float]]) -> None:
    sides = assign_sides(two_hands(path), aspect=ASPECT)
    assert repaired(sides) == 0
    assert wrists_x(sides, "right_hand") == pytest.approx([right for right, _ in path], abs=1e-3)
    assert wrists_x(sides, "left_hand") == pytest.approx([left for _, left in path], abs=1e-3)


@pytest.mark.parametrize("path", [APART, CROSSING], ids=["apart", "crossing"])
def test_words_that_swap_for_some_frames_are_repaired_and_counted(path: list[tuple[float, float]]) -> None:
    frames = two_hands(path)
    for number in (3, 4, 9):
        right, left = frames[number]
        frames[number] = [replace(right, handedness="Left"), replace(left, handedness="Right")]
    sides = assign_sides(frames, aspect=ASPECT)
    assert repaired(sides) == 6
    assert wrists_x(sides, "right_hand") == pytest.approx([right for right, _ in path], abs=1e-3)


def test_two_hands_called_by_one_side_are_told_apart_by_the_frames_around() -> None:
    frames = two_hands(APART)
    frames[5] = [replace(hand, handedness="Right") for hand in frames[5]]
    sides = assign_sides(frames, aspect=ASPECT)
    assert repaired(sides) == 1
    assert wrists_x(sides, "left_hand") == [0.7] * len(APART)


def test_of_two_hands_called_by_one_side_in_a_lone_frame_the_more_certain_keeps_it() -> None:
    sure, unsure = hand(0.3, score=0.9), hand(0.7, score=0.6)
    assert assign_sides([[unsure, sure]]) == [{"right_hand": sure, "left_hand": unsure}]


def test_one_hand_that_is_seen_twice_is_stored_once() -> None:
    sure, double = hand(0.3, score=0.9), hand(0.305, word="Left", score=0.6)
    (sides,) = assign_sides([[double, sure]], aspect=ASPECT)
    assert sides == {"right_hand": sure}


def test_a_third_hand_is_the_least_certain_and_is_left_out() -> None:
    right, left = hand(0.2), hand(0.8, left=True)
    (sides,) = assign_sides([[hand(0.5, score=0.5), right, left]], aspect=ASPECT)
    assert sides == {"right_hand": right, "left_hand": left}


def test_a_lone_hand_stays_on_its_side_however_uncertain() -> None:
    for left, side in ((True, "left_hand"), (False, "right_hand")):
        assert assign_sides([[hand(0.5, left=left, score=0.1)]])[0].keys() == {side}


def test_a_hand_that_is_lost_for_some_frames_keeps_its_side() -> None:
    frames = [[hand(0.3 + 0.02 * t)] for t in range(12)]
    frames[5] = frames[6] = []
    frames[7] = [replace(frames[7][0], handedness="Left", score=0.5)]
    assert [list(given) for given in assign_sides(frames, aspect=ASPECT)] == [
        [] if t in (5, 6) else ["right_hand"] for t in range(12)
    ]


def test_another_hand_elsewhere_does_not_inherit_the_side() -> None:
    frames = [[hand(0.2)]] * 5 + [[hand(0.8, left=True)]] * 5
    assert [list(given) for given in assign_sides(frames)] == [["right_hand"]] * 5 + [["left_hand"]] * 5


def test_the_pose_decides_where_the_words_are_wrong_throughout() -> None:
    frames = [[hand(0.3, word="Left", score=0.6)] for _ in range(8)]
    wrists = [np.array([[0.7, 0.5], [0.3, 0.5]])] * 8  # left, right
    assert all(given.keys() == {"right_hand"} for given in assign_sides(frames, wrists=wrists, aspect=ASPECT))
    assert all(given.keys() == {"left_hand"} for given in assign_sides(frames, aspect=ASPECT))
    unsure = [np.full((2, 2), np.nan)] * 8
    assert all(given.keys() == {"left_hand"} for given in assign_sides(frames, wrists=unsure, aspect=ASPECT))


def test_frames_without_hands_stay_empty() -> None:
    assert assign_sides([]) == []
    assert assign_sides([[], []]) == [{}, {}]


@pytest.mark.parametrize("path", [APART, CROSSING], ids=["apart", "crossing"])
def test_of_a_stream_hands_have_the_sides_that_they_have_in_a_recording(path: list[tuple[float, float]]) -> None:
    frames = two_hands(path)
    for number in (3, 4, 9):
        right, left = frames[number]
        frames[number] = [replace(right, handedness="Left"), replace(left, handedness="Right")]
    live = LiveSides(ASPECT)
    assert [live.add(hands, None) for hands in frames] == assign_sides(frames, aspect=ASPECT)


def test_a_side_that_was_wrong_for_long_is_mended_soon() -> None:
    live = LiveSides(ASPECT)
    wrists = np.array([[0.7, 0.5], [0.3, 0.5]])  # left, right
    for _ in range(200):
        assert live.add([hand(0.3, word="Left")], None).keys() == {"left_hand"}
    sides = [next(iter(live.add([hand(0.3)], wrists))) for _ in range(30)]
    assert sides == sorted(sides)
    assert sides[-1] == "right_hand"


def test_of_a_stream_a_hand_that_was_away_begins_afresh() -> None:
    live = LiveSides(ASPECT)
    frames = [[hand(0.5)]] * 20 + [[]] * 6 + [[hand(0.5, left=True)]] * 2
    assert [list(live.add(hands, None)) for hands in frames] == [
        *[["right_hand"]] * 20, *[[]] * 6, *[["left_hand"]] * 2,
    ]  # fmt: skip
