"""A posable hand of 21 landmarks, and eight gestures as smooth functions of a phase in [0, 1].

Shapes: P landmarks (21, in MediaPipe's order: wrist, then thumb, index, middle, ring, pinky, base to tip).
Space: x to the right of the image, y up, z towards the camera; unit: a hand, wrist to middle fingertip.
A right hand with no rotation holds its palm to the camera, fingers up, so its thumb lies towards +x.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

_KNUCKLES = np.array([[0.155, 0.53, 0.0], [0.045, 0.55, -0.015], [-0.06, 0.525, -0.01], [-0.15, 0.465, 0.01]])
_PHALANGES = np.array([[0.205, 0.125, 0.09], [0.225, 0.14, 0.095], [0.21, 0.13, 0.095], [0.165, 0.095, 0.085]])
_THUMB_BASE = np.array([0.105, 0.12, 0.03])
_THUMB_BONES = (0.20, 0.165, 0.125)
_FULL_CURL_RAD = np.radians([80.0, 100.0, 62.0])
_FAN_RAD = np.radians([13.0, 2.0, -9.0, -21.0])


@dataclass(frozen=True, kw_only=True)
class HandShape:
    """How one person's hand differs from the mean: factors, 1 for the mean hand."""

    fingers: float = 1.0
    palm_width: float = 1.0
    thickness: float = 1.0


@dataclass(frozen=True, kw_only=True)
class HandPose:
    """One hand at one moment, described as a right hand; `left` mirrors all of it, its place included."""

    curl: tuple[float, ...] = (0.1, 0.1, 0.1, 0.1, 0.1)
    """Thumb to pinky: 0 straight, 1 closed to a fist."""
    spread: float = 0.4
    """0 fingers side by side, 1 fanned out."""
    opposition: float = 0.1
    """0 thumb beside the palm, 1 thumb in front of it."""
    yaw_rad: float = 0.0
    pitch_rad: float = 0.0
    roll_rad: float = 0.0
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The wrist, in hand lengths; the scene's origin is the middle of the image."""
    forearm_roll_rad: float = 0.0
    """Lean of the forearm in the image plane; 0 points straight down from the wrist."""
    scale: float = 1.0
    left: bool = False


@dataclass(frozen=True)
class PosedHand:
    """Where a hand is: its landmarks, and the end of its forearm."""

    landmarks_P3: Floats
    elbow_3: Floats
    across_3: Floats
    """Unit vector along the knuckles, towards the thumb."""
    palmar_3: Floats
    """Unit vector out of the palm."""


def rotation(yaw_rad: float, pitch_rad: float, roll_rad: float) -> Floats:
    """3 x 3 matrix: pitch about x, then yaw about y, then roll about z (in the image plane)."""
    angles = np.array([yaw_rad, pitch_rad, roll_rad])
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, np.float32)


def pose_hand(pose: HandPose, shape: HandShape) -> PosedHand:
    """Forward kinematics: angles to places."""
    points = [np.zeros(3), *_thumb(pose, shape)]
    for finger in range(4):
        points.extend(_finger(finger, pose, shape))
    turn_33 = rotation(pose.yaw_rad, pose.pitch_rad, pose.roll_rad)
    landmarks_P3 = pose.scale * np.array(points) @ turn_33.T + np.array(pose.position)
    arm_3 = rotation(0.0, 0.12, pose.forearm_roll_rad) @ np.array([0.0, -3.0 * pose.scale, 0.0])
    elbow_3 = np.array(pose.position) + arm_3
    mirror = np.array([-1.0 if pose.left else 1.0, 1.0, 1.0])
    return PosedHand(
        (landmarks_P3 * mirror).astype(np.float32),
        (elbow_3 * mirror).astype(np.float32),
        (turn_33[:, 0] * mirror).astype(np.float32),
        (turn_33[:, 2] * mirror).astype(np.float32),
    )


def _finger(finger: int, pose: HandPose, shape: HandShape) -> list[NDArray[np.float64]]:
    """Four landmarks of one finger; it bends in the plane of its own direction and the palm's normal."""
    curl = pose.curl[finger + 1]
    # A closed hand cannot fan its fingers out: the knuckles' ligaments are then taut.
    fan_rad = float(_FAN_RAD[finger]) * pose.spread * (1.0 - 0.8 * curl)
    forward = np.array([np.sin(fan_rad), np.cos(fan_rad), 0.0])
    palmar = np.array([0.0, 0.0, 1.0])
    points = [_KNUCKLES[finger] * np.array([shape.palm_width, 1.0, 1.0])]
    for length, bend in zip(_PHALANGES[finger], np.cumsum(_FULL_CURL_RAD * curl), strict=True):
        step = np.cos(bend) * forward + np.sin(bend) * palmar
        points.append(points[-1] + shape.fingers * length * step)
    return points


def _thumb(pose: HandPose, shape: HandShape) -> list[NDArray[np.float64]]:
    """Four landmarks of the thumb: opposition swings its base before the palm, curl bends it across."""
    out_rad = radians(48.0 - 33.0 * pose.opposition)
    palmar_rad = radians(12.0 + 43.0 * pose.opposition)
    flat = cos(palmar_rad)
    forward = np.array([sin(out_rad) * flat, cos(out_rad) * flat, sin(palmar_rad)])
    across = np.array([-0.8, 0.3, 0.35 - 0.5 * pose.opposition])
    across -= forward * float(across @ forward)
    across /= np.linalg.norm(across)
    bends = np.cumsum([0.0, radians(8.0 + 47.0 * pose.curl[0]), radians(4.0 + 60.0 * pose.curl[0])])
    points = [_THUMB_BASE * np.array([shape.palm_width, 1.0, 1.0])]
    for length, bend in zip(_THUMB_BONES, bends, strict=True):
        points.append(points[-1] + shape.fingers * length * (np.cos(bend) * forward + np.sin(bend) * across))
    return points


def blend(start: HandPose, end: HandPose, weight: float) -> HandPose:
    """Linear between two poses of one hand: `start` at weight 0, `end` at 1."""

    def mix(a: float, b: float) -> float:
        return a + (b - a) * weight

    (x0, y0, z0), (x1, y1, z1) = start.position, end.position
    return HandPose(
        curl=tuple(map(mix, start.curl, end.curl)),
        spread=mix(start.spread, end.spread),
        opposition=mix(start.opposition, end.opposition),
        yaw_rad=mix(start.yaw_rad, end.yaw_rad),
        pitch_rad=mix(start.pitch_rad, end.pitch_rad),
        roll_rad=mix(start.roll_rad, end.roll_rad),
        position=(mix(x0, x1), mix(y0, y1), mix(z0, z1)),
        forearm_roll_rad=mix(start.forearm_roll_rad, end.forearm_roll_rad),
        scale=mix(start.scale, end.scale),
        left=start.left,
    )


def _ease(phase: float, start: float, end: float) -> float:
    """0 before `start`, 1 after `end`, with no jerk between (smoothstep)."""
    t = min(max((phase - start) / (end - start), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


def _hold(phase: float) -> float:
    """Rises to 1, stays, falls back."""
    return _ease(phase, 0.05, 0.4) * (1.0 - _ease(phase, 0.68, 0.98))


_OPEN = HandPose(position=(0.0, -0.5, 0.0), yaw_rad=0.15)
_FIST = replace(_OPEN, curl=(0.75, 0.95, 0.95, 0.95, 0.95), opposition=0.75, position=(0.0, -0.35, 0.0))
_HALF = replace(_FIST, curl=(0.5, 0.65, 0.7, 0.7, 0.7), opposition=0.5)


def _open_close(phase: float) -> HandPose:
    return blend(_OPEN, _FIST, _hold(phase))


def _point(phase: float) -> HandPose:
    up = _hold(phase)
    pose = blend(_HALF, replace(_FIST, curl=(0.75, 0.03, 0.95, 0.95, 0.95)), up)
    return replace(pose, position=(0.0, -0.42 + 0.16 * up, 0.25 * up))


def _pinch(phase: float) -> HandPose:
    ready = replace(_OPEN, curl=(0.1, 0.25, 0.2, 0.2, 0.2), opposition=0.35, yaw_rad=0.25)
    closed = replace(ready, curl=(0.25, 0.6, 0.3, 0.25, 0.2), opposition=0.65)
    return blend(ready, closed, _hold(phase))


def _wave(phase: float) -> HandPose:
    swing = sin(4.0 * pi * phase) * _ease(phase, 0.0, 0.15) * (1.0 - _ease(phase, 0.85, 1.0))
    return replace(
        _OPEN,
        roll_rad=0.5 * swing,
        forearm_roll_rad=0.25 * swing,
        position=(-0.12 * swing, -0.5, 0.0),
        spread=0.8,
    )


def _swipe(phase: float, direction: float) -> HandPose:
    """`direction` +1 moves towards the body's own middle, -1 away from it."""
    side = direction * (2.0 * _ease(phase, 0.1, 0.9) - 1.0)
    return replace(
        _OPEN,
        position=(0.65 * side, -0.5, 0.0),
        roll_rad=-0.12 * side,
        forearm_roll_rad=-0.2 * side,
        spread=0.15,
    )


def _swipe_in(phase: float) -> HandPose:
    return _swipe(phase, 1.0)


def _swipe_out(phase: float) -> HandPose:
    return _swipe(phase, -1.0)


def _victory(phase: float) -> HandPose:
    shown = replace(_FIST, curl=(0.8, 0.03, 0.03, 0.95, 0.95), spread=1.1, opposition=0.9, position=(0.0, -0.5, 0.0))
    return blend(_HALF, shown, _hold(phase))


def _thumb_up(phase: float) -> HandPose:
    start = replace(_FIST, roll_rad=0.7, forearm_roll_rad=0.6, position=(0.15, -0.25, 0.0))
    shown = replace(
        start,
        curl=(0.0, 0.95, 0.95, 0.95, 0.95),
        opposition=-0.1,
        roll_rad=1.1,
        forearm_roll_rad=0.9,
        position=(0.2, -0.15, 0.0),
    )
    return blend(start, shown, _hold(phase))


GESTURE_POSES: Mapping[str, Callable[[float], HandPose]] = MappingProxyType(
    {
        "open_close": _open_close,
        "pinch": _pinch,
        "point": _point,
        "swipe_in": _swipe_in,
        "swipe_out": _swipe_out,
        "thumb_up": _thumb_up,
        "victory": _victory,
        "wave": _wave,
    }
)
GESTURES: tuple[str, ...] = tuple(GESTURE_POSES)


def gesture_pose(gesture: str, phase: float, *, left: bool = False) -> HandPose:
    """The hand of `gesture` at `phase` in [0, 1]; "in" is towards the subject's middle."""
    return replace(GESTURE_POSES[gesture](phase), left=left)
