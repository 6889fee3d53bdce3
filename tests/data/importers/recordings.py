"""One made-up signer in every layout that is imported, and the truth to compare with.

Shape suffixes: T frames, P points.
"""

from collections.abc import Callable
from functools import cache
from math import cos, pi, radians, sin
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from sigflow.topology import (
    CHIN,
    HAND_NAMES,
    JAW,
    LEFT_EYE_OUTER,
    LIPS_INNER,
    LIPS_OUTER,
    NOSE_BASE,
    POSE_NAMES,
    RIGHT_EYE_OUTER,
)

FPS, WIDTH, HEIGHT = 25.0, 512, 384
COUNTS = (60, 45)  # frames of the two clips
BUSY = ("right_hand", "left_hand")  # the hand that moves more
SIZES = {"pose": 33, "face": 468, "left_hand": 21, "right_hand": 21}
HANDS = ("left_hand", "right_hand")
# Frames in which a part was not seen. Gaps of one to three frames are filled, of eighteen they are not.
MISSING = {
    "right_hand": (7, *range(20, 38)),
    "left_hand": (0, 1, 40, 41),
    "pose": (5, *range(16, 34)),
    "face": (10, 11, 12, *range(40, 60)),
}
Signer = dict[str, np.ndarray]  # by part, (T, P, 3); visibility (T, 33)


def hand(wrist_T3: np.ndarray, bend_T: np.ndarray, yaw_T: np.ndarray, side: int) -> np.ndarray:
    """(T, 21, 3): a fan of five fingers that bend towards the camera, turned about the forearm."""
    points = [np.zeros_like(wrist_T3)]
    for aside, base in zip((60, 15, 0, -12, -25), (0.03, 0.08, 0.08, 0.078, 0.075), strict=True):
        for joint in range(4):
            length, bend = base + 0.022 * joint, bend_T * joint / 3
            across, along = side * sin(radians(aside)) * np.cos(bend), -cos(radians(aside)) * np.cos(bend)
            points.append(length * np.stack([across, along, -np.sin(bend)], axis=1))
    x_PT, y_PT, z_PT = np.moveaxis(np.stack(points), -1, 0)
    turned = [x_PT * np.cos(yaw_T) - z_PT * np.sin(yaw_T), y_PT, x_PT * np.sin(yaw_T) + z_PT * np.cos(yaw_T)]
    return wrist_T3[:, None] + np.stack(turned, axis=-1).swapaxes(0, 1)


def body(frames: int) -> np.ndarray:
    """(T, 33, 3): stands upright and sways a little, hips in the middle; torso 0.25."""
    places = {"ear": (0.04, -0.35, 0.0), "shoulder": (0.09, -0.25, -0.02), "elbow": (0.14, -0.1, 0.02),
              "hip": (0.05, 0.0, 0.0), "knee": (0.05, 0.21, 0.02), "ankle": (0.05, 0.42, 0.05)}  # fmt: skip
    pose = np.tile(np.array([0.0, -0.35, -0.1]), (33, 1))
    for number, name in enumerate(POSE_NAMES):
        side, _, joint = name.rpartition("_")
        if joint in places:
            pose[number] = np.array([1 if side == "left" else -1, 1, 1]) * places[joint]
    sway = 0.03 * np.sin(np.linspace(0, 6, frames))
    return pose + np.array([0.66, 0.5, 0.0]) + np.stack([sway, sway / 2, 0 * sway], axis=1)[:, None]


def face(centre_T3: np.ndarray, opening_T: np.ndarray) -> np.ndarray:
    """(T, 468, 3): eyes, lips and jaw where they are, the rest anywhere; eyes 0.06 apart."""
    frames = len(centre_T3)
    points = np.tile(np.random.default_rng(0).uniform(-0.5, 0.5, (468, 3)), (frames, 1, 1))
    points[:, RIGHT_EYE_OUTER], points[:, LEFT_EYE_OUTER] = (-0.5, 0, 0), (0.5, 0, 0.02)
    points[:, NOSE_BASE] = (0, 0.6, -0.2)
    for loop, wide, high in ((LIPS_OUTER, 0.3, 0.1), (LIPS_INNER, 0.25, 0.01)):
        for number, point in enumerate(loop):
            angle = pi - 2 * pi * number / len(loop)
            points[:, point, :2] = np.array([wide * cos(angle), 1 + high * sin(angle)])
            points[:, point, 1] += opening_T * max(sin(angle), 0)
    for number, point in enumerate(JAW):
        angle = radians(20 + 10 * number)
        points[:, point] = (0.6 * cos(angle), 0.7 + 0.8 * sin(angle), 0.1)
    points[:, CHIN, 1] += opening_T
    return centre_T3[:, None] + 0.06 * points


def signer(frames: int, busy: str) -> Signer:
    """The truth, as MediaPipe gives it: x and z in widths, y in heights; NaN where a part was not seen.

    Of the first clip both hands, of the second (`busy` is left) the left one alone.
    """
    turn = np.linspace(0, 4 * pi, frames)
    pose = body(frames)
    parts: Signer = {"pose": pose, "face": face(pose[:, 0], 0.15 * (1 + np.sin(3 * turn)))}
    for part in HANDS:
        side = 1 if part == "left_hand" else -1
        reach = 0.1 if part == busy else 0.02
        wrist = np.array([0.66 + side * 0.2, 0.45, -0.1]) + reach * np.stack(
            [np.cos(turn), np.sin(turn), 0.5 * np.sin(turn)], axis=1
        )
        # A hand's depth counts from its own wrist.
        parts[part] = hand(wrist * [1, 1, 0], 0.8 + 0.6 * np.sin(turn), 0.5 * np.cos(turn), side)
        pose[:, POSE_NAMES.index(part.replace("hand", "wrist"))] = wrist
    for part, points in parts.items():
        points /= np.array([WIDTH / HEIGHT, 1, WIDTH / HEIGHT])
        points[[frame for frame in MISSING[part] if frame < frames]] = np.nan
    if busy == "left_hand":
        parts["right_hand"][:] = np.nan
    parts["visibility"] = np.tile(np.linspace(0.3, 0.99, 33), (frames, 1))
    return {part: values.astype(np.float32) for part, values in parts.items()}


@cache
def signers() -> tuple[Signer, ...]:
    """Both clips; nobody writes to them."""
    return tuple(signer(frames, busy) for frames, busy in zip(COUNTS, BUSY, strict=True))


# ---- the same two clips in every layout; each writer gives the layout's name and what to import ----


def vectors(parts: Signer, size: int) -> np.ndarray:
    """(T, 1662 or 258), zeros where missing."""
    pose = np.concatenate([parts["pose"], parts["visibility"][:, :, None]], axis=2)
    pose[np.isnan(parts["pose"][:, 0, 0])] = np.nan
    others = ("face", *HANDS) if size == 1662 else HANDS
    columns = [pose, *(parts[part] for part in others)]
    return np.nan_to_num(np.concatenate([values.reshape(len(pose), -1) for values in columns], axis=1), nan=0.0)


def mp_data(folder: Path, size: int) -> tuple[str, Path]:
    for number, parts in enumerate(signers()):
        place = folder / "hello" / str(number)
        place.mkdir(parents=True)
        for frame, vector in enumerate(vectors(parts, size)):
            np.save(place / f"{frame}.npy", vector)
    return "mp_data", folder


def npz(folder: Path, clips: list[np.ndarray]) -> tuple[str, Path]:
    """One array, padded with zeros."""
    x = np.zeros((len(clips), max(map(len, clips)), *clips[0].shape[1:]), np.float32)
    for number, clip in enumerate(clips):
        x[number, : len(clip)] = clip
    np.savez(folder / "all.npz", x=x, y=np.array(["hello"] * len(clips)), lengths=np.array([*map(len, clips)]))
    return "npz", folder


def points(folder: Path, *parts: str) -> tuple[str, Path]:
    """(N, T, P, 3); missing is NaN in the first clip and zeros in the second."""
    first, second = (np.concatenate([clip[part] for part in parts], axis=1) for clip in signers())
    return npz(folder, [first, np.nan_to_num(second, nan=0.0)])


def islr(folder: Path) -> tuple[str, Path]:
    """Hands that were not seen are NaN, other parts that were not seen have no rows; frames are counted from 20."""
    for number, parts in enumerate(signers()):
        columns: dict[str, list[Any]] = {name: [] for name in ("frame", "type", "landmark_index", "x", "y", "z")}
        for part, size in SIZES.items():
            for frame, values in enumerate(parts[part]):
                if part not in HANDS and np.isnan(values).all():
                    continue
                columns["frame"] += [20 + frame] * size
                columns["type"] += [part] * size
                columns["landmark_index"] += range(size)
                for axis, coordinates in zip("xyz", values.T, strict=True):
                    columns[axis] += coordinates.tolist()
        pq.write_table(pa.table(columns), folder / f"{number}.parquet")
    return "islr", folder


def pose(folder: Path, parts: tuple[str, ...], width: int, *, z_in_pixels: bool = False) -> tuple[str, Path]:
    """x and y in pixels; z in widths, as pose-format's own writer leaves it, or in pixels."""
    size = np.array([width, width * HEIGHT // WIDTH, width if z_in_pixels else 1])
    for number, clip in enumerate(signers()):
        data = np.concatenate([clip[part] for part in parts], axis=1) * size
        seen = [clip["visibility"] if part == "pose" else np.ones(clip[part].shape[:2]) for part in parts]
        confidence = np.where(np.isnan(data[:, :, 0]), 0, np.concatenate(seen, axis=1))
        write_pose(folder / f"hello/{number}.pose", np.nan_to_num(data), confidence, parts, width)
    return "pose", folder


def write_pose(file: Path, data: np.ndarray, confidence: np.ndarray, parts: tuple[str, ...], width: int) -> None:
    names = {
        "pose": [name.upper() for name in POSE_NAMES],
        "face": [str(number) for number in range(468)],
        **{part: [name.upper() for name in HAND_NAMES] for part in HANDS},
    }
    header = PoseHeader(
        0.2,
        PoseHeaderDimensions(width, width * HEIGHT // WIDTH),
        [PoseHeaderComponent(f"{part.upper()}_LANDMARKS", names[part], [], [], "XYZC") for part in parts],
    )
    body = NumPyPoseBody(FPS, data[:, None].astype(np.float32), confidence[:, None].astype(np.float32))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        Pose(header, body).write(stream)


ALL = ("pose", "face", *HANDS)
LAYOUTS: dict[str, tuple[tuple[str, ...], Callable[[Path], tuple[str, Path]]]] = {
    "mp_data_1662": (ALL, lambda folder: mp_data(folder, 1662)),
    "mp_data_258": (("pose", *HANDS), lambda folder: mp_data(folder, 258)),
    "npz_1662": (ALL, lambda folder: npz(folder, [vectors(parts, 1662) for parts in signers()])),
    "npz_258": (("pose", *HANDS), lambda folder: npz(folder, [vectors(parts, 258) for parts in signers()])),
    "npz_21": (("right_hand",), lambda folder: points(folder, "right_hand")),
    "npz_33": (("pose",), lambda folder: points(folder, "pose")),
    "npz_42": (HANDS, lambda folder: points(folder, *HANDS)),
    "npz_75": (("pose", *HANDS), lambda folder: points(folder, "pose", *HANDS)),
    "npz_468": (("face",), lambda folder: points(folder, "face")),
    "npz_543": (ALL, lambda folder: points(folder, "face", "left_hand", "pose", "right_hand")),
    "islr": (ALL, islr),
    "pose": (ALL, lambda folder: pose(folder, ALL, WIDTH)),
    "pose_z_in_pixels": (ALL, lambda folder: pose(folder, ALL, WIDTH, z_in_pixels=True)),
    "pose_hands_alone": (HANDS, lambda folder: pose(folder, HANDS, 1920)),
    # So small a picture that hands are only a few pixels deep.
    "pose_hands_z_in_pixels": (HANDS, lambda folder: pose(folder, HANDS, 64, z_in_pixels=True)),
}
