"""The search for a second hand is skipped most of the time; nothing that MediaPipe would find may be lost by it."""

from collections.abc import Sequence
from itertools import pairwise
from math import sin
from typing import Any

import numpy as np
import pytest

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import Detector, DetectorOptions, FrameDetections
from sigflow.landmarks.hand_tracker import MAX_WAITING_BYTES, HandTracker
from sigflow.landmarks.hands import HandDetection, assign_sides
from sigflow.landmarks.synthetic import SUBJECTS, RenderedClip, render_clip, render_scene
from sigflow.landmarks.synthetic.pose import HandPose
from sigflow.landmarks.synthetic.render import Camera

CAMERA = Camera(width=640, height=480, hand_px=100.0)
AWAY = (9.0, 0.0, 0.0)


def scene(hands_TN: Sequence[Sequence[HandPose]]) -> RenderedClip:
    return render_scene(hands_TN, [SUBJECTS[0].look] * len(hands_TN[0]), CAMERA, fps=25)


def hand(x: float, *, left: bool, y: float = 0.0, z: float = 0.0) -> HandPose:
    """At `x` of the scene; a left hand's position is written as for a right one, and mirrored."""
    return HandPose(position=(-x if left else x, y, z), left=left)


@pytest.fixture(scope="module")
def joining() -> RenderedClip:
    """The right hand alone; the left one comes at frame 13 and goes at frame 30."""
    return scene(
        [
            [
                hand(-0.9 + 0.1 * sin(0.3 * t), left=False),
                hand(0.9, left=True) if 13 <= t < 30 else HandPose(position=AWAY, left=True),
            ]
            for t in range(48)
        ]
    )


@pytest.fixture(scope="module")
def crossing() -> RenderedClip:
    """Hands that pass each other, one nearer to the camera, and come back."""
    places = [1.4 * np.cos(0.12 * t) for t in range(54)]
    return scene([[hand(-x, left=False, z=0.6), hand(x, left=True, z=-0.6)] for x in places])


def detect(clip: RenderedClip, look_every_s: float) -> list[FrameDetections]:
    with Detector(DetectorOptions(look_every_s=look_every_s), {"hands": model_path("hands")}) as detector:
        for number, frame in enumerate(clip.frames_THWC):
            detector.add(frame, 1000 * number / clip.fps)
        return detector.finish()


def points(frame: FrameDetections) -> np.ndarray:
    """All hands of a frame from left to right in the picture, (N, 21, 3)."""
    return np.array(sorted((hand.image_P3 for hand in frame.hands), key=lambda points: float(points[:, 0].mean())))


def test_one_hand_gets_the_landmarks_of_a_search_in_every_frame() -> None:
    clip = render_clip(SUBJECTS[1], "swipe_in", 0)
    every, seldom = detect(clip, 0.0), detect(clip, 0.3)
    assert all(len(frame.hands) == 1 for frame in every)
    for a, b in zip(every, seldom, strict=True):
        np.testing.assert_array_equal(points(a), points(b))


def test_a_second_hand_is_found_from_its_first_frame_on(joining: RenderedClip) -> None:
    every, seldom = detect(joining, 0.0), detect(joining, 0.3)
    counts = [len(frame.hands) for frame in every]
    assert counts[:13] == [1] * 13
    assert counts[14:29] == [2] * 15
    assert counts[35:] == [1] * 13
    assert [len(frame.hands) for frame in seldom] == counts
    for a, b in zip(every, seldom, strict=True):
        assert np.abs(points(a) - points(b))[..., :2].max() < 0.01


def test_hands_that_cross_keep_their_sides(crossing: RenderedClip) -> None:
    detections = detect(crossing, 0.3)
    given = assign_sides([frame.hands for frame in detections], aspect=CAMERA.width / CAMERA.height)
    right_of_T = crossing.landmarks_TNP2[:, 0, :, 0].mean(1) > crossing.landmarks_TNP2[:, 1, :, 0].mean(1)
    assert sum(a != b for a, b in pairwise(right_of_T.tolist())) == 2  # they cross twice
    checked = 0
    for truth_NP2, sides in zip(crossing.landmarks_TNP2, given, strict=True):
        for number, side in enumerate(("right_hand", "left_hand")):
            if side in sides and np.abs(truth_NP2[0] - truth_NP2[1]).mean() > 0.15:  # clearly apart
                found_P2 = sides[side].image_P3[:, :2]
                near, far = (np.abs(found_P2 - truth_NP2[which]).mean() for which in (number, 1 - number))
                assert near < far
                checked += 1
    assert checked > 60


class Fake:
    """Finds what is there: an image is the number of hands in it. Counts what it is asked for."""

    opened: list["Fake"]

    def __init__(self, num_hands: int, *, blind: bool = False) -> None:
        self.num_hands, self.blind, self.times, self.closed = num_hands, blind, list[int](), False
        Fake.opened.append(self)

    def detect(self, image: Any, time_ms: int) -> list[HandDetection]:
        assert not self.closed
        assert not self.times or time_ms > self.times[-1]
        self.times.append(time_ms)
        return [] if self.blind else [HAND] * min(image, self.num_hands)

    def close(self) -> None:
        self.closed = True


HAND = HandDetection(np.zeros((21, 3), np.float32), np.zeros((21, 3), np.float32), "Left", 1.0)


def follow(
    counts: Sequence[int], *, num_hands: int = 2, look_every_s: float = 0.3, size: int = 1, **fake: Any
) -> list[int]:
    """Hands found in frames of 25 a second that hold `counts` hands."""
    Fake.opened = []
    tracker = HandTracker(lambda number: Fake(number, **(fake if number == 1 else {})), num_hands, look_every_s)
    for number, count in enumerate(counts):
        tracker.add(count, 40 * number, size)
        assert sum(not one.closed for one in Fake.opened) <= 2
    found = [len(hands) for hands in tracker.finish()]
    tracker.close()
    assert all(one.closed for one in Fake.opened)
    return found


@pytest.mark.parametrize("length", [1, 2, 5, 8, 20, 41])
def test_a_second_hand_that_stays_is_found_whenever_it_comes(length: int) -> None:
    for start in range(length + 1):
        counts = [1] * start + [2] * (length - start)
        assert follow(counts) == counts


def test_one_hand_costs_few_frames_of_the_tracker_for_two() -> None:
    assert follow([1] * 80) == [1] * 80
    assert [len(one.times) for one in Fake.opened] == [11, 80]


def test_a_hand_that_a_new_tracker_cannot_find_is_followed_on() -> None:
    assert follow([1] * 40, blind=True) == [1] * 40


@pytest.mark.parametrize("counts", [[0] * 30, [2] * 30, [0, 1, 2, 1, 0] * 9, [2] * 9 + [1] * 30 + [0] * 10])
def test_nothing_is_invented_and_nothing_that_lasts_is_lost(counts: list[int]) -> None:
    found = follow(counts)
    assert all(mine <= there for mine, there in zip(found, counts, strict=True))
    assert follow(counts, look_every_s=0.0) == counts
    assert follow(counts, num_hands=1) == [min(count, 1) for count in counts]


def test_large_frames_are_not_hoarded() -> None:
    assert follow([1] * 40 + [2] * 2, look_every_s=5.0, size=MAX_WAITING_BYTES // 2) == [1] * 40 + [2] * 2
    assert len(Fake.opened[0].times) > 15
