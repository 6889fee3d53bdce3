"""Which detected hand is the subject's left, and which the right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HandDetection:
    """One hand in one frame, as MediaPipe saw it: image and world landmarks (21, 3), its word for the side, a score."""

    image_P3: np.ndarray
    world_P3: np.ndarray
    handedness: str  # "Left" or "Right"
    score: float


SIDES = {"Left": "left_hand", "Right": "right_hand"}
"""MediaPipe's word to the subject's own side, in a video that is not mirrored.

MediaPipe's older documents say the opposite (their words assumed a mirrored selfie). Measured with mediapipe 1.2.2 on
unmirrored videos of people, with the pose model as witness, and on rendered hands: the word is the subject's own side.
"""


def assign_sides(frames: Sequence[Sequence[HandDetection]]) -> list[dict[str, HandDetection]]:
    """Per frame, at most one hand for each of "left_hand" and "right_hand".

    Two hands called by one side: the more certain keeps it, the other takes the free side.
    """
    sides = []
    for hands in frames:
        given: dict[str, HandDetection] = {}
        for hand in sorted(hands, key=lambda hand: -hand.score)[:2]:
            side = SIDES[hand.handedness]
            if side in given:
                side = "left_hand" if side == "right_hand" else "right_hand"
            given[side] = hand
        sides.append(given)
    return sides
