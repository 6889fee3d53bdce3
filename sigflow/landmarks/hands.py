"""Which detected hand is the subject's left, and which the right.

MediaPipe names each hand of each frame alone: it calls both hands by one side, swaps them for a frame, or sees one hand
twice. Here hands are first followed from frame to frame into tracks, and then a whole track gets one side, by the
handedness of all its frames and, where the pose was seen, by the nearer wrist. Of a camera's stream the frames to come
are not known: a track has the side that its frames so far speak for.

Shape suffixes: P points (21), W wrists (2: left, right), C coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sigflow.topology import MIDDLE_MCP, WRIST

SIDES = ("left_hand", "right_hand")
"""MediaPipe's words "Left" and "Right", in this order, for a video that is not mirrored.

MediaPipe's older documents say the opposite (their words assumed a mirrored selfie). Measured with mediapipe 1.2.2 on
unmirrored videos of people, with the pose model as witness, and on rendered hands: the word is the subject's own side.
"""

_SAME_HAND = 0.35  # palms between all landmarks of two detections: closer than this, they are one hand seen twice
_MAX_STEP = 1.5  # palms by which a hand may miss the place where its track should be; twice that after a lost frame
_MAX_LOST_FRAMES = 5  # a hand that was away for longer starts a new track
_OTHER_WORD = 0.5  # palms that it costs to join a hand to a track of the other handedness
_POSE_WEIGHT = 2.0  # of a clear wrist of the pose, against a handedness score of 1
_MOST_VOTES = 30.0  # of a stream's track: an old error is not to outvote what is seen now for long


@dataclass(frozen=True)
class HandDetection:
    """One hand in one frame, as MediaPipe saw it: image and world landmarks (21, 3), its word for the side, a score."""

    image_P3: np.ndarray
    world_P3: np.ndarray
    handedness: str  # "Left" or "Right"
    score: float


@dataclass
class _Track:
    """One hand over time. `vote` is positive for the right."""

    frames: list[int] = field(default_factory=list)
    hands: list[HandDetection] = field(default_factory=list)
    vote: float = 0.0


def assign_sides(
    frames: Sequence[Sequence[HandDetection]],
    *,
    wrists: Sequence[np.ndarray | None] | None = None,
    aspect: float = 1.0,
) -> list[dict[str, HandDetection]]:
    """Per frame, at most one hand for each of "left_hand" and "right_hand".

    Args:
        frames: what MediaPipe saw.
        wrists: per frame the pose's left and right wrist (2, 2), x and y as MediaPipe gives them, NaN where unsure;
            None where the pose was not seen.
        aspect: width / height, so that distances are the same in x and y.
    """
    scale = np.array([aspect, 1.0])
    tracks = _follow([_without_doubles(hands, scale) for hands in frames], scale)
    for track in tracks:
        track.vote = sum(
            _vote(hand, None if wrists is None else wrists[number], scale) for number, hand in _sightings(track)
        )
    given: list[dict[str, HandDetection]] = [{} for _ in frames]
    for track in _surest_first(tracks):
        for number, hand in _sightings(track):
            _give(given[number], track, hand)
    return given


class LiveSides:
    """`assign_sides` for a stream without an end, one frame after the other. Only hands of the last frames are held."""

    def __init__(self, aspect: float) -> None:
        self._scale = np.array([aspect, 1.0])
        self._tracks: list[_Track] = []
        self._number = -1

    def add(self, hands: Sequence[HandDetection], wrists: np.ndarray | None) -> dict[str, HandDetection]:
        """The next frame's hands, and the pose's wrists; at most one hand for each side."""
        self._number += 1
        self._tracks = _live(self._tracks, self._number)
        _join(self._tracks, self._number, _without_doubles(hands, self._scale), self._scale)
        seen = [track for track in self._tracks if track.frames[-1] == self._number]
        given: dict[str, HandDetection] = {}
        for track in seen:
            vote = track.vote + _vote(track.hands[-1], wrists, self._scale)
            track.vote = max(-_MOST_VOTES, min(vote, _MOST_VOTES))
            del track.frames[:-2], track.hands[:-2]
        for track in _surest_first(seen):
            _give(given, track, track.hands[-1])
        return given


def repaired(sides: Sequence[dict[str, HandDetection]]) -> int:
    """How many hands were given another side than MediaPipe's word for them."""
    words = {"Left": "left_hand", "Right": "right_hand"}
    return sum(words[hand.handedness] != side for given in sides for side, hand in given.items())


def _sightings(track: _Track) -> list[tuple[int, HandDetection]]:
    return list(zip(track.frames, track.hands, strict=True))


def _surest_first(tracks: Sequence[_Track]) -> list[_Track]:
    return sorted(tracks, key=lambda track: -abs(track.vote))


def _give(given: dict[str, HandDetection], track: _Track, hand: HandDetection) -> None:
    """The side that the track speaks for, or what surer ones left of a frame."""
    wanted, other = SIDES[track.vote > 0], SIDES[track.vote <= 0]
    given.setdefault(wanted if wanted not in given else other, hand)


def _without_doubles(hands: Sequence[HandDetection], scale: np.ndarray) -> list[HandDetection]:
    kept: list[HandDetection] = []
    for hand in sorted(hands, key=lambda hand: -hand.score):
        if all(_distance(hand.image_P3[:, :2], other.image_P3[:, :2], scale) > _SAME_HAND for other in kept):
            kept.append(hand)
    return kept


def _follow(frames: Sequence[Sequence[HandDetection]], scale: np.ndarray) -> list[_Track]:
    tracks: list[_Track] = []
    for number, hands in enumerate(frames):
        _join(tracks, number, hands, scale)
    return tracks


def _live(tracks: Sequence[_Track], number: int) -> list[_Track]:
    return [track for track in tracks if number - track.frames[-1] <= _MAX_LOST_FRAMES]


def _join(tracks: list[_Track], number: int, hands: Sequence[HandDetection], scale: np.ndarray) -> None:
    """Each hand to the track that it continues, or to a new one; the bound on its step grows while it is lost."""
    from scipy.optimize import linear_sum_assignment  # here: a server that sees no video starts half a second sooner

    live = _live(tracks, number)
    steps = np.array([[_step(track, number, hand, scale) for hand in hands] for track in live]).reshape(
        len(live), len(hands)
    )
    continued = set()
    for i, k in zip(*linear_sum_assignment(np.minimum(steps, 1e6)), strict=True):
        if steps[i, k] <= 1:
            live[i].frames.append(number)
            live[i].hands.append(hands[k])
            continued.add(int(k))
    tracks += [_Track([number], [hand]) for k, hand in enumerate(hands) if k not in continued]


def _step(track: _Track, number: int, hand: HandDetection, scale: np.ndarray) -> float:
    """Distance from where the track should be now, as a share of the largest that is believed."""
    gap = number - track.frames[-1]
    last_P2 = track.hands[-1].image_P3[:, :2]
    if len(track.frames) > 1:  # goes on as it went: this is what tells hands apart that cross
        before_P2 = track.hands[-2].image_P3[:, :2]
        last_P2 = last_P2 + (last_P2 - before_P2) * (gap / (track.frames[-1] - track.frames[-2]))
    distance = _distance(last_P2, hand.image_P3[:, :2], scale)
    return (distance + _OTHER_WORD * (hand.handedness != track.hands[-1].handedness)) / (_MAX_STEP * min(gap, 2))


def _distance(a_P2: np.ndarray, b_P2: np.ndarray, scale: np.ndarray) -> float:
    """Mean distance of the landmarks, in palms of `b`."""
    palm = float(np.linalg.norm((b_P2[MIDDLE_MCP] - b_P2[WRIST]) * scale))
    return float(np.linalg.norm((a_P2 - b_P2) * scale, axis=-1).mean()) / max(palm, 1e-6)


def _vote(hand: HandDetection, wrists_W2: np.ndarray | None, scale: np.ndarray) -> float:
    """Positive for the right hand: the word's score, and how much nearer the pose's right wrist is."""
    vote = hand.score if hand.handedness == "Right" else -hand.score
    if wrists_W2 is None:
        return vote
    left, right = np.linalg.norm((wrists_W2 - hand.image_P3[WRIST, :2]) * scale, axis=-1)
    if not np.isfinite(left + right):
        return vote
    return vote + _POSE_WEIGHT * float((left - right) / max(left + right, 1e-6))
