"""The features once more, clip by clip in plain numpy, as one would write them for a single experiment.

What `tests.bench.features` measures against, and whose numbers it compares. Shape suffixes: T frames, N frames after
resampling, P points, F features.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sigflow.topology import (
    BLENDSHAPE_NAMES,
    CHIN,
    INDEX_MCP,
    LEFT_EYE_OUTER,
    LIP_POINTS,
    MIDDLE_MCP,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE_BASE,
    PINKY_MCP,
    POSE_NAMES,
    RIGHT_EYE_OUTER,
    WRIST,
)

Parts = Mapping[str, np.ndarray]  # of one clip: (T, P, 3), in units of the height; blendshapes (T, 52)
Feature = Callable[[Parts, np.ndarray], np.ndarray]


def resample(
    values_TF: np.ndarray, time_s_T: np.ndarray, groups: Sequence[int], frames: int = 30, max_gap_s: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """(N, F) at N equally spaced times, and the times (N,)."""
    blocks = np.split(values_TF, np.cumsum(groups)[:-1], axis=1)
    seen = [~np.isnan(block).any(axis=1) for block in blocks]
    span_s = time_s_T[np.any(seen, axis=0)]
    if not len(span_s):
        return np.full((frames, values_TF.shape[1]), np.nan), np.full(frames, np.nan)
    target_s = np.linspace(span_s[0], span_s[-1], frames)
    columns = []
    for block, ok in zip(blocks, seen, strict=True):
        at_s, known = time_s_T[ok], block[ok]
        if not len(at_s):
            columns.append(np.full((frames, block.shape[1]), np.nan))
            continue
        before = np.searchsorted(at_s, target_s + 1e-5, side="right") - 1
        after = np.searchsorted(at_s, target_s - 1e-5, side="left")
        missing = (before < 0) | (after == len(at_s))
        before, after = np.maximum(before, 0), np.minimum(after, len(at_s) - 1)
        gap_s = at_s[after] - at_s[before]
        weight = np.clip((target_s - at_s[before]) / np.maximum(gap_s, 1e-6), 0, 1)[:, None]
        mixed = known[before] + weight * (known[after] - known[before])
        mixed[missing | (gap_s > max_gap_s)] = np.nan
        columns.append(mixed)
    return np.concatenate(columns, axis=1), target_s


def velocity(values_TF: np.ndarray, time_s_T: np.ndarray) -> np.ndarray:
    """Change per second, exact for parabolas."""
    step = np.maximum(np.diff(time_s_T), 1e-3)[:, None]
    slope = np.diff(values_TF, axis=0) / step
    share = step[:-1] / (step[:-1] + step[1:])
    inside = slope[:-1] + share * (slope[1:] - slope[:-1])
    return np.concatenate([slope[:1], inside, slope[-1:]])


def hand_moving(parts: Parts, time_s_T: np.ndarray) -> np.ndarray:
    """(T, 63) of the hand that moves more."""
    left, right = parts["left_hand"], parts["right_hand"]
    is_left = _path(left) > _path(right)
    hand = left if is_left else right
    seen = ~np.isnan(hand[:, 0, 0])
    if not seen.any():
        return np.full((len(hand), 63), np.nan)
    return _placed(hand, hand[seen][0, WRIST], _palms(hand[seen]), mirror=is_left)


def hand_both(parts: Parts, time_s_T: np.ndarray) -> np.ndarray:
    """(T, 126), in one system of coordinates."""
    left, right = parts["left_hand"], parts["right_hand"]
    wrists_T3 = np.where(np.isnan(right[:, WRIST]), left[:, WRIST], right[:, WRIST])
    seen = ~np.isnan(wrists_T3[:, 0])
    if not seen.any():
        return np.full((len(left), 126), np.nan)
    origin = wrists_T3[seen][0]
    palms = np.concatenate([_palms(hand[~np.isnan(hand[:, 0, 0])]) for hand in (left, right)])
    return np.concatenate([_placed(left, origin, palms, mirror=True), _placed(right, origin, palms)], axis=1)


def _path(hand_TP3: np.ndarray) -> float:
    steps = np.linalg.norm(np.diff(hand_TP3[..., :2], axis=0), axis=-1).mean(axis=-1)
    return float(np.nansum(steps) + 1e-3 * (~np.isnan(hand_TP3[:, 0, 0])).sum())


def _palms(hand_TP3: np.ndarray) -> np.ndarray:
    plane = hand_TP3[..., :2]
    starts, ends = [WRIST, WRIST, WRIST, INDEX_MCP], [INDEX_MCP, MIDDLE_MCP, PINKY_MCP, PINKY_MCP]
    return np.linalg.norm(plane[:, starts] - plane[:, ends], axis=-1).mean(axis=-1)


def _placed(hand_TP3: np.ndarray, origin: np.ndarray, palms: np.ndarray, *, mirror: bool = False) -> np.ndarray:
    shape_TP3 = (hand_TP3 - origin) / _lower_median(palms)
    if mirror:
        shape_TP3 = shape_TP3 * (-1, 1, 1)
    return shape_TP3.reshape(len(hand_TP3), -1)


def _lower_median(values: np.ndarray) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2])


def body(parts: Parts, time_s_T: np.ndarray) -> np.ndarray:
    """(T, 6): torso_angle, hip_height, vertical_speed, box_aspect, head_over_feet, presence."""
    plane = parts["pose"][..., :2]
    places = [[POSE_NAMES.index(name) for name in ("nose", "left_ear", "right_ear")]]
    for joint in ("shoulder", "hip", "knee", "ankle"):
        places.append([POSE_NAMES.index(f"{side}_{joint}") for side in ("left", "right")])
    head, shoulders, hips, _, ankles = (plane[:, place].mean(axis=1) for place in places)
    used = plane[:, [number for place in places for number in place]]
    seen = ~np.isnan(used).any(axis=(1, 2))
    side, up = np.abs(shoulders[:, 0] - hips[:, 0]), hips[:, 1] - shoulders[:, 1]
    lengths = np.sort(np.hypot(side, up)[seen])
    torso = lengths[(len(lengths) - 1) * 9 // 10] if len(lengths) else 1.0
    angle = np.where(up > 0, np.arctan(side / np.maximum(up, 1e-6)) * 2 / np.pi, 1.0)
    centre = (shoulders[:, 1] + hips[:, 1]) / 2 / torso
    speed = velocity(centre[:, None], time_s_T)[:, 0]
    box = used.max(axis=1) - used.min(axis=1)
    signals = [
        angle,
        (ankles[:, 1] - hips[:, 1]) / torso / 1.7,
        0.5 + speed / 8,
        box[:, 0] / box.sum(axis=1),
        (ankles[:, 1] - head[:, 1]) / torso / 3.1,
    ]
    values = np.clip(np.stack(signals, axis=1), 0, 1)
    values[~seen] = np.nan
    return np.concatenate([values, ~np.isnan(plane[:, :1, 0])], axis=1)


def lips(parts: Parts, time_s_T: np.ndarray) -> np.ndarray:
    """(T, 207): nodes, action units, distances, speech mask."""
    face = parts["face"]
    right, left = face[:, RIGHT_EYE_OUTER], face[:, LEFT_EYE_OUTER]
    axis = left - right
    unit = np.linalg.norm(axis, axis=-1)
    cos, sin = (axis[:, :2] / np.linalg.norm(axis[:, :2], axis=-1, keepdims=True)).T[:, :, None]
    moved = (face - ((left + right) / 2)[:, None]) / unit[:, None, None]
    x, y, z = np.moveaxis(moved, -1, 0)
    upright = np.stack([cos * x + sin * y, cos * y - sin * x, z], axis=-1)

    pairs = [
        (MOUTH_RIGHT, MOUTH_LEFT), (0, 17), (78, 308), (13, 14), (81, 178), (311, 402), (0, 13), (14, 17),
        (NOSE_BASE, 0), (17, CHIN), (NOSE_BASE, CHIN),
    ]  # fmt: skip
    starts, ends = zip(*pairs, strict=True)
    lengths = np.linalg.norm(upright[:, starts] - upright[:, ends], axis=-1)
    tilt = upright[:, MOUTH_LEFT, 1] - upright[:, MOUTH_RIGHT, 1]
    drop = upright[:, [MOUTH_LEFT, MOUTH_RIGHT]].mean(axis=1) - upright[:, [0, 17]].mean(axis=1)
    shift = upright[:, CHIN, 0] - upright[:, NOSE_BASE, 0]

    opening = lengths[:, 3]
    seen = ~np.isnan(opening)
    moving = np.full(len(face), np.nan)
    if seen.any():
        weight = np.maximum(1 - np.abs(time_s_T[seen] - time_s_T[seen][:, None]) / 0.25, 0)
        step = opening[seen] - opening[seen][:, None]
        mean = (weight * step).sum(axis=1) / weight.sum(axis=1)
        variance = np.maximum((weight * step**2).sum(axis=1) / weight.sum(axis=1) - mean**2, 0)
        moving[seen] = variance / (variance + 0.01**2)

    first = BLENDSHAPE_NAMES.index("jaw_forward")
    last = BLENDSHAPE_NAMES.index("mouth_upper_up_right")
    nodes = upright[:, LIP_POINTS].reshape(len(face), -1)
    signed = np.stack([tilt, drop[:, 1], shift, drop[:, 2], moving], axis=1)
    return np.concatenate([nodes, parts["blendshapes"][:, first : last + 1], lengths, signed], axis=1)


def phonology(parts: Parts, time_s_T: np.ndarray) -> np.ndarray:
    """(T, 36): 18 of the left hand, 18 of the right."""
    pose = parts["pose"]

    def point(name: str) -> np.ndarray:
        return pose[:, POSE_NAMES.index(name)]

    across = point("left_shoulder") - point("right_shoulder")
    width = np.linalg.norm(across, axis=-1)
    middle = (point("left_shoulder") + point("right_shoulder")) / 2
    rise = point("left_ear") + point("right_ear") - 2 * middle
    x = across / width[:, None]
    y = rise - (rise * x).sum(axis=-1, keepdims=True) * x
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    z = np.cross(x, y)
    seen = ~np.isnan(width)
    unit = _lower_median(width[seen]) if seen.any() else 1.0

    columns = []
    for side, sign in (("left", 1), ("right", -1)):
        hand = parts[f"{side}_hand"]
        fingers = hand[:, 1:].reshape(-1, 5, 4, 3)
        wrist = np.broadcast_to(hand[:, None, None, WRIST], (len(hand), 5, 1, 3))
        bones = np.diff(np.concatenate([wrist, fingers], axis=2), axis=2)
        bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
        flexion = 3 - (bones[:, :, 1:] * bones[:, :, :-1]).sum(axis=(-1, -2))
        normal = np.cross(bones[:, 1, 0], bones[:, 4, 0])
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        ones = np.concatenate([bones[:, :1, 2], bones[:, 1:4, 1]], axis=1)
        others = np.concatenate([bones[:, 1:2, 0], bones[:, 2:, 1]], axis=1)
        spread = (np.cross(ones, others) * normal[:, None]).sum(axis=-1)
        axes = np.stack([sign * x, y, z], axis=1)
        orientation = (axes * (-sign * normal)[:, None]).sum(axis=-1)
        location = (axes * (point(f"{side}_wrist") - middle)[:, None]).sum(axis=-1) / unit
        there = ~np.isnan(location).any(axis=-1)
        movement = np.full_like(location, np.nan)
        seconds = np.maximum(np.diff(time_s_T[there], prepend=time_s_T[there][:1]), 1e-3)
        movement[there] = np.diff(location[there], axis=0, prepend=location[there][:1]) / seconds[:, None]
        columns += [flexion, spread, orientation, location, movement]
    return np.concatenate(columns, axis=1)
