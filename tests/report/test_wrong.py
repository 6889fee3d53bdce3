"""If these fail, people look for wrong labels among the wrong clips."""

from dataclasses import replace

import numpy as np
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.report.style import ORANGE
from sigflow.report.wrong import draw_clip, surest_mistakes
from sigflow.storage import Location
from tests.report.pictures import pixels, share


def test_the_surest_mistakes_come_first_and_no_pair_of_classes_fills_the_list() -> None:
    """All but one of six are taken for class 1."""
    sure = [0.6, 0.99, 0.9, 0.7, 0.8, 0.95]
    probs = np.array([[1 - p, p, 0] for p in sure])
    true = np.array([0, 1, 0, 0, 0, 2])
    assert surest_mistakes(probs, true, 8) == [5, 2, 4]
    assert surest_mistakes(probs, true, 1) == [5]
    assert surest_mistakes(probs, np.ones(6, int), 8) == []


def first(data: Location) -> Clips:
    return load_clips(data, ("left_hand", "right_hand")).select([0])


def test_a_clip_is_drawn_with_the_hand_that_was_seen(gesture_landmarks: Location) -> None:
    clips = first(gesture_landmarks)
    drawn = draw_clip(clips, 0)
    assert drawn.picture is not None
    assert share(pixels(drawn.picture), ORANGE) > 0.005
    seen = torch.stack([points.isfinite().flatten(1).any(1) for points in clips.parts.values()]).any(0)
    assert (drawn.seen, drawn.frames) == (int(seen.sum()), len(clips.time_s_S))


def test_a_clip_of_one_seen_frame_is_drawn_and_one_of_none_is_not(gesture_landmarks: Location) -> None:
    clips = first(gesture_landmarks)
    hand = torch.full_like(clips.parts["right_hand"], float("nan"))
    none = replace(clips, parts={"right_hand": hand.clone()})
    assert draw_clip(none, 0) == (None, len(hand), 0)
    hand[3] = torch.rand(21, 3)
    assert draw_clip(replace(clips, parts={"right_hand": hand}), 0).picture is not None


def test_beside_a_body_the_hands_are_drawn_again_enlarged(gesture_landmarks: Location) -> None:
    """A handshape cannot be told in a picture of the whole body."""
    clips = first(gesture_landmarks)
    body = torch.rand(len(clips.time_s_S), 33, 3)
    alone = draw_clip(clips, 0).picture
    both = draw_clip(replace(clips, parts={**clips.parts, "pose": body}), 0).picture
    assert alone is not None
    assert both is not None
    assert pixels(both).shape[0] > 1.5 * pixels(alone).shape[0]
