"""If these fail, left and right hands change places or vanish from the stored landmarks."""

import numpy as np

from sigflow.landmarks.hands import HandDetection, assign_sides


def hand(handedness: str, score: float) -> HandDetection:
    points = np.full((21, 3), score, np.float32)
    return HandDetection(points, points, handedness, score)


def test_each_hand_keeps_its_own_side() -> None:
    left, right = hand("Left", 0.6), hand("Right", 0.9)
    for order in ([left, right], [right, left]):
        assert assign_sides([order]) == [{"left_hand": left, "right_hand": right}]


def test_of_two_hands_called_by_one_side_the_more_certain_keeps_it() -> None:
    sure, unsure = hand("Right", 0.9), hand("Right", 0.6)
    assert assign_sides([[unsure, sure]]) == [{"right_hand": sure, "left_hand": unsure}]
    sure, unsure = hand("Left", 0.9), hand("Left", 0.6)
    assert assign_sides([[sure, unsure]]) == [{"left_hand": sure, "right_hand": unsure}]


def test_a_lone_hand_stays_on_its_side_however_uncertain() -> None:
    for word, side in (("Left", "left_hand"), ("Right", "right_hand")):
        assert assign_sides([[hand(word, 0.1)]])[0].keys() == {side}


def test_a_third_hand_is_the_least_certain_and_is_left_out() -> None:
    kept = [hand("Left", 0.9), hand("Right", 0.8)]
    (sides,) = assign_sides([[hand("Right", 0.5), *kept]])
    assert sides == {"left_hand": kept[0], "right_hand": kept[1]}


def test_frames_do_not_lend_each_other_hands() -> None:
    sides = assign_sides([[hand("Left", 0.9)], [], [hand("Right", 0.9)]])
    assert [frame.keys() for frame in sides] == [{"left_hand"}, set(), {"right_hand"}]
