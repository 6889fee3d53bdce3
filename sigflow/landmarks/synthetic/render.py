"""Hands as pictures: poses -> RGB frames, and the landmarks' true places in them. Only numpy.

Shapes: H height, W width, C colours (3), N hands, P landmarks (21).
Each hand is a few dozen tapering capsules drawn into one height map, joined by a smooth maximum (Quilez 2013,
"smooth minimum"), shaded by Lambert's law and darkened where something stands before it (Luft et al. 2006,
"Image enhancement by unsharp masking the depth buffer"). Hands are painted from the farthest to the nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sigflow.landmarks.synthetic.pose import Floats, HandPose, HandShape, PosedHand, pose_hand, rotation

Image: TypeAlias = NDArray[np.uint8]

# Each pixel is the mean of 2 x 2: enough for smooth outlines (`_halve` builds on the number).
_OVERSAMPLING = 2
_NOTHING = -1e3
_LIGHT = np.array([-0.35, 0.55, 0.76], np.float32)
_FINGER_RADII = (0.058, 0.050, 0.045, 0.038)
_FINGER_SIZES = (1.0, 1.03, 0.98, 0.85)
_THUMB_RADII = (0.085, 0.068, 0.056, 0.046)


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where from: angles about the scene's middle, distance in hand lengths, picture in pixels."""

    width: int = 320
    height: int = 240
    hand_px: float = 105.0
    """Length of a mean hand standing in the scene's middle."""
    distance: float = 5.0
    yaw_rad: float = 0.0
    pitch_rad: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """One person's hand: proportions and colour (RGB, 0 to 255)."""

    shape: HandShape = field(default_factory=HandShape)
    skin_rgb: tuple[float, float, float] = (224.0, 172.0, 140.0)


class Capsule(NamedTuple):
    """Two spheres and what lies between: first in hand lengths, then in oversampled pixels with y down."""

    start: Floats
    end: Floats
    start_radius: float
    end_radius: float
    softness: float
    """How near two surfaces come before they flow into one."""
    redness: float


def project(points_P3: Floats, camera: Camera) -> Floats:
    """(P, 4): x and y in pixels, height above the image plane in pixels, and pixels per hand length there."""
    turned_P3 = points_P3 @ rotation(camera.yaw_rad, camera.pitch_rad, 0.0).T
    scale_P = camera.hand_px * camera.distance / np.maximum(camera.distance - turned_P3[:, 2], 0.5)
    x_P = camera.width / 2 + turned_P3[:, 0] * scale_P
    y_P = camera.height / 2 - turned_P3[:, 1] * scale_P
    return np.stack([x_P, y_P, turned_P3[:, 2] * camera.hand_px, scale_P], axis=1).astype(np.float32)


def true_landmarks(pose: HandPose, look: Look, camera: Camera) -> Floats:
    """(P, 2): x divided by the picture's width, y by its height, as MediaPipe gives them."""
    projected_P4 = project(pose_hand(pose, look.shape).landmarks_P3, camera)
    return np.asarray(projected_P4[:, :2] / np.array([camera.width, camera.height]), np.float32)


def draw_frame(background_HWC: Floats, hands: Sequence[tuple[HandPose, Look]], camera: Camera) -> Image:
    """(H, W, C): the hands before the background, nearer ones before those behind."""
    picture_HWC = background_HWC.copy()
    posed = [(pose_hand(pose, look.shape), pose, look) for pose, look in hands]
    posed.sort(key=lambda hand: float(project(hand[0].landmarks_P3, camera)[:, 2].mean()))
    for hand, pose, look in posed:
        unit = camera.hand_px * pose.scale * _OVERSAMPLING
        _paint(picture_HWC, _capsules(hand, pose.scale, look, camera), look, unit)
    return np.asarray(np.clip(picture_HWC + 0.5, 0.0, 255.0).astype(np.uint8))


def make_background(camera: Camera, rng: np.random.Generator) -> Floats:
    """(H, W, C): a muted gradient with soft blobs of colour, like a room out of focus."""
    y_H1 = np.linspace(0.0, 1.0, camera.height, dtype=np.float32)[:, None]
    x_1W = np.linspace(0.0, 1.0, camera.width, dtype=np.float32)[None, :]
    first, second = (rng.uniform(60.0, 190.0, (2, 3)) * [0.85, 1.0, 1.05]).astype(np.float32)
    mix_HW1 = (0.6 * y_H1 + 0.4 * x_1W)[..., None]
    picture_HWC = first * (1.0 - mix_HW1) + second * mix_HW1
    for _ in range(7):
        (x, y), size = rng.uniform(0.0, 1.0, 2), rng.uniform(0.08, 0.3)
        weight_HW = 0.7 * np.exp(-((x_1W - x) ** 2 + (y_H1 - y) ** 2) / np.float32(2.0 * size * size))
        colour = (rng.uniform(30.0, 200.0, 3) * [0.8, 1.0, 1.1]).astype(np.float32)
        picture_HWC += weight_HW[..., None] * (colour - picture_HWC)
    return np.asarray(picture_HWC, np.float32)


def _capsules(hand: PosedHand, size: float, look: Look, camera: Camera) -> list[Capsule]:
    """Forearm, palm, thumb, fingers: in that order, since later ones join those drawn before."""
    thick = look.shape.thickness * size
    bones = [*_forearm(hand, size), *_palm(hand, size), *_thumb(hand), *_fingers(hand)]
    starts = project(np.array([b.start for b in bones]), camera)
    ends = project(np.array([b.end for b in bones]), camera)
    return [
        Capsule(
            start[:3] * _OVERSAMPLING,
            end[:3] * _OVERSAMPLING,
            float(start[3]) * bone.start_radius * thick * _OVERSAMPLING,
            float(end[3]) * bone.end_radius * thick * _OVERSAMPLING,
            camera.hand_px * bone.softness * size * _OVERSAMPLING,
            bone.redness,
        )
        for start, end, bone in zip(starts, ends, bones, strict=True)
    ]


def _forearm(hand: PosedHand, size: float) -> list[Capsule]:
    """Two bones side by side, from the wrist out of the picture."""
    wrist_3 = hand.landmarks_P3[0]
    sides = [side * size * hand.across_3 for side in (-0.05, 0.0, 0.05)]
    return [Capsule(wrist_3 + s, hand.elbow_3 + 1.6 * s, 0.074, 0.15, 0.12, 0.1) for s in sides]


def _palm(hand: PosedHand, size: float) -> list[Capsule]:
    """Metacarpals and the pads before them; the pads make the palm a palm and not the back of a hand."""
    p = hand.landmarks_P3
    knuckles = p[[5, 9, 13, 17]]
    out = [Capsule(p[0] + 0.2 * (k - p[0]), k, 0.075, 0.06, 0.09, 0.2) for k in knuckles]
    for a, b in pairwise(knuckles):
        out.append(Capsule(a, b, 0.058, 0.056, 0.06, 0.2))
        out.append(Capsule(a + 0.3 * (p[0] - a), b + 0.3 * (p[0] - b), 0.062, 0.062, 0.09, 0.2))
        web_3 = 0.5 * (a + b) + 0.1 * (0.5 * (a + b) - p[0])
        out.append(Capsule(0.5 * (a + b), web_3, 0.05, 0.036, 0.04, 0.2))
    lift_3 = size * hand.palmar_3
    little = p[17] + 0.3 * (p[0] - p[17]) + 0.022 * lift_3
    out.append(Capsule(p[0] + 0.25 * (p[17] - p[0]) + 0.022 * lift_3, little, 0.075, 0.062, 0.08, 0.35))
    for a, b in pairwise(knuckles - 0.06 * (knuckles - p[0]) + 0.02 * lift_3):
        out.append(Capsule(a, b, 0.048, 0.048, 0.05, 0.35))
    return out


def _thumb(hand: PosedHand) -> list[Capsule]:
    """The thumb, the ball of flesh at its root, and the web to the index finger."""
    p = hand.landmarks_P3
    out = [
        Capsule(p[0], p[1], 0.08, 0.085, 0.09, 0.2),
        Capsule(p[1] + 0.6 * (p[2] - p[1]), p[5] + 0.4 * (p[0] - p[5]), 0.058, 0.058, 0.09, 0.2),
        Capsule(p[1] + 0.75 * (p[2] - p[1]), p[5] + 0.2 * (p[0] - p[5]), 0.036, 0.036, 0.06, 0.2),
    ]
    for bone, (a, b) in enumerate(pairwise(p[1:5])):
        softness = 0.06 if bone == 0 else 0.03
        out.append(Capsule(a, b, _THUMB_RADII[bone], _THUMB_RADII[bone + 1], softness, 0.35 + 0.2 * bone))
    return out


def _fingers(hand: PosedHand) -> list[Capsule]:
    out = []
    for finger, size in enumerate(_FINGER_SIZES):
        joints = hand.landmarks_P3[5 + 4 * finger : 9 + 4 * finger]
        for bone, (a, b) in enumerate(pairwise(joints)):
            start, end = _FINGER_RADII[bone] * size, _FINGER_RADII[bone + 1] * size
            out.append(Capsule(a, b, start, end, 0.025, 0.25 + 0.25 * bone))
    return out


def _paint(picture_HWC: Floats, capsules: Sequence[Capsule], look: Look, unit: float) -> None:
    """One hand into the picture, in place; only its bounding box is computed."""
    height, width = picture_HWC.shape[:2]
    boxes = np.array([_bounds(capsule) for capsule in capsules])
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    left, top = np.clip(low // _OVERSAMPLING, 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(high // _OVERSAMPLING + 2, 0, (width, height)).astype(int).tolist()
    if left >= right or top >= bottom:
        return
    origin = np.array([left, top]) * _OVERSAMPLING
    shape = ((bottom - top) * _OVERSAMPLING, (right - left) * _OVERSAMPLING)
    height_HW, redness_HW = _height_map(capsules, origin, shape)
    colour_HWC = _shade(height_HW, redness_HW, np.array(look.skin_rgb, np.float32), unit)
    cover_HW1 = _halve((height_HW > _NOTHING / 2).astype(np.float32)[..., None])
    box_HWC = picture_HWC[top:bottom, left:right]
    box_HWC *= 1.0 - cover_HW1
    box_HWC += _halve(colour_HWC)


def _bounds(capsule: Capsule) -> Floats:
    """(2, 2): lowest and highest x and y."""
    ends = np.array([capsule.start[:2], capsule.end[:2]])
    radii = np.array([[capsule.start_radius], [capsule.end_radius]])
    return np.array([(ends - radii).min(axis=0), (ends + radii).max(axis=0)], np.float32)


def _height_map(capsules: Sequence[Capsule], origin: NDArray[np.int_], shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Height of the joined surface and its redness, (H, W) each; `_NOTHING` beside the hand."""
    height_HW = np.full(shape, _NOTHING, np.float32)
    redness_HW = np.zeros(shape, np.float32)
    for capsule in capsules:
        low, high = _bounds(capsule) - origin
        x0, y0 = np.clip(low.astype(int), 0, (shape[1], shape[0]))
        x1, y1 = np.clip(high.astype(int) + 2, 0, (shape[1], shape[0]))
        if x0 >= x1 or y0 >= y1:
            continue
        x_1W = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(origin[0] + 0.5 - capsule.start[0])
        y_H1 = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(origin[1] + 0.5 - capsule.start[1])
        new_HW = _capsule_height(capsule, x_1W, y_H1)
        box = height_HW[y0:y1, x0:x1]
        red = redness_HW[y0:y1, x0:x1]
        gap_HW = new_HW - box
        softness = np.float32(capsule.softness)
        weight_HW = np.clip(0.5 + 0.5 * gap_HW / softness, 0.0, 1.0)
        red += weight_HW * (capsule.redness - red)
        bulge_HW = np.maximum(softness - np.abs(gap_HW), 0.0)
        np.maximum(box, new_HW, out=box)
        box += bulge_HW * bulge_HW * np.float32(0.25 / softness) * (box > _NOTHING / 2)
    return height_HW, redness_HW


def _capsule_height(capsule: Capsule, x_1W: Floats, y_H1: Floats) -> Floats:
    """Top of one capsule seen along z, (H, W); `_NOTHING` beside it.

    A capsule is a row of spheres. For a constant radius the sphere that is highest at a pixel follows from
    the tangent of a circle; fingers taper so little that this sphere is right for them too.
    """
    dx, dy, dz = (float(v) for v in capsule.end - capsule.start)
    flat = max(float(np.hypot(dx, dy)), 1e-3)
    length = float(np.hypot(flat, dz))
    along_HW = (x_1W * np.float32(dx) + y_H1 * np.float32(dy)) * np.float32(1.0 / flat)
    beside2_HW = np.square((x_1W * np.float32(dy) - y_H1 * np.float32(dx)) * np.float32(1.0 / flat))
    mean_radius = 0.5 * (capsule.start_radius + capsule.end_radius)
    rise_HW = np.sqrt(np.maximum(mean_radius * mean_radius - beside2_HW, 0.0))
    nearer_HW = rise_HW * np.float32(dz / (flat * length))
    t_HW = np.clip(along_HW * np.float32(1.0 / flat) + nearer_HW, 0.0, 1.0)
    radius_HW = capsule.start_radius + t_HW * np.float32(capsule.end_radius - capsule.start_radius)
    dome_HW = radius_HW * radius_HW - beside2_HW - np.square(along_HW - t_HW * np.float32(flat))
    top_HW = capsule.start[2] + t_HW * np.float32(dz) + np.sqrt(np.maximum(dome_HW, 0.0))
    return np.where(dome_HW > 0.0, top_HW, np.float32(_NOTHING)).astype(np.float32)


def _shade(height_HW: Floats, redness_HW: Floats, skin_rgb: Floats, unit: float) -> Floats:
    """(H, W, C): lit colours, black beside the hand. `unit` is a hand length in oversampled pixels."""
    inside_HW = height_HW > _NOTHING / 2
    mask_HW = inside_HW.astype(np.float32)
    known_HW = np.where(inside_HW, height_HW, 0.0)
    soft_HW = _mean_inside(known_HW, mask_HW, max(int(0.012 * unit), 1))
    slope_x_HW, slope_y_HW = np.zeros_like(soft_HW), np.zeros_like(soft_HW)
    slope_x_HW[:, 1:-1] = 0.5 * (soft_HW[:, 2:] - soft_HW[:, :-2])
    slope_y_HW[1:-1] = 0.5 * (soft_HW[2:] - soft_HW[:-2])
    steep2_HW = slope_x_HW * slope_x_HW + slope_y_HW * slope_y_HW
    upright_HW = 1.0 / np.sqrt(1.0 + steep2_HW)
    lit_HW = (_LIGHT[2] - _LIGHT[0] * slope_x_HW + _LIGHT[1] * slope_y_HW) * upright_HW
    above_HW = _mean_inside(known_HW, mask_HW, max(int(0.06 * unit), 2)) - height_HW
    hidden_HW = np.clip(above_HW / (0.25 * unit), 0.0, 0.4)
    bright_HW = (0.42 + 0.6 * np.maximum(lit_HW, 0.0)) * (1.0 - hidden_HW) * mask_HW
    bright_HW *= 0.75 + 0.25 * upright_HW
    # Blood shows where the skin is thin and where light has passed through flesh: red falls off least.
    red_HW = redness_HW * 0.12
    tint_HWC = np.stack([1.0 + 0.3 * red_HW, 1.0 - red_HW, 1.0 - red_HW], axis=-1)
    fall_HWC = np.stack([bright_HW ** np.float32(g) for g in (0.88, 1.0, 1.06)], axis=-1)
    return np.asarray(np.minimum(skin_rgb * tint_HWC * fall_HWC, 255.0), np.float32)


def _mean_inside(values_HW: Floats, mask_HW: Floats, radius: int) -> Floats:
    """Mean of the neighbours that belong to the hand; `values_HW` is zero elsewhere."""
    return np.asarray(_blur(values_HW, radius) / np.maximum(_blur(mask_HW, radius), 1e-3), np.float32)


def _blur(image_HW: Floats, radius: int) -> Floats:
    """Mean over a square of 2 * radius + 1 pixels, zeros beyond the edge."""
    side = 2 * radius + 1
    sums_HW = np.cumsum(np.pad(image_HW, ((radius + 1, radius), (radius + 1, radius))), axis=0)
    rows_HW = np.cumsum(sums_HW[side:] - sums_HW[:-side], axis=1)
    return np.asarray((rows_HW[:, side:] - rows_HW[:, :-side]) * np.float32(1.0 / (side * side)))


def _halve(image_HWC: Floats) -> Floats:
    """Mean of each block of 2 x 2 pixels."""
    rows_HWC = image_HWC[::2] + image_HWC[1::2]
    return np.asarray((rows_HWC[:, ::2] + rows_HWC[:, 1::2]) * np.float32(0.25))
