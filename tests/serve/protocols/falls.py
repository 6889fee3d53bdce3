"""People who walk, sit, bend, lie down and fall, as landmarks of their pose. Shape suffixes: T frames, P points."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from sigflow.schema import LANDMARKS_DIR, encode_frames, landmark_schema
from sigflow.storage import Location
from sigflow.topology import POSE_NAMES
from tests.features.test_body import standing, turned

FPS = 15
_FEET = torch.tensor([name.endswith(("ankle", "heel", "foot_index")) for name in POSE_NAMES])
_LEGS = _FEET | torch.tensor([name.endswith("knee") for name in POSE_NAMES])


class Posture(NamedTuple):
    """Each from 0, not at all, to 1."""

    lying: float = 0.0
    sitting: float = 0.0
    bending: float = 0.0


UP, SITS, BENDS, LIES = Posture(), Posture(sitting=1), Posture(bending=1), Posture(lying=1)


class Step(NamedTuple):
    """In so many seconds to this posture."""

    seconds: float
    posture: Posture


class Piece(NamedTuple):
    """A piece of a recording."""

    label: str
    pose_TP3: np.ndarray


def piece(label: str, start: Posture, *steps: Step, rng: np.random.Generator, left: bool = False) -> Piece:
    """Someone in `start`, and what they do then. To the `left`, as seen; swaying a little, all the time."""
    postures, before = [start], start
    for seconds, after in steps:
        for share in np.linspace(0, 1, max(2, round(seconds * FPS)) + 1)[1:]:
            eased = share * share * (3 - 2 * share)
            postures.append(Posture(*(a + (b - a) * eased for a, b in zip(before, after, strict=True))))
        before = after
    time_s = np.arange(len(postures)) / FPS
    sway = 0.05 * np.sin(2 * np.pi * time_s / rng.uniform(1.5, 3) + rng.uniform(0, 6))
    body_TP3 = np.stack([_body(each) for each in postures])
    body_TP3 += rng.normal(0, 0.01, body_TP3.shape)
    body_TP3[..., 0] = (body_TP3[..., 0] + sway[:, None]) * (-1 if left else 1)
    return Piece(label, (0.15 * body_TP3 * (0.75, 1, 0.75) + (0.5, 0.4, 0.0)).astype(np.float32))


def _body(posture: Posture) -> np.ndarray:
    """(33, 3) in torso lengths around where the hips of someone who stands are."""
    points = standing()
    points[~_LEGS] = turned(points, 70 * posture.bending)[~_LEGS]
    points[~_FEET, 1] += 0.8 * posture.sitting
    points = turned(points, 90 * posture.lying)
    points[:, 1] += 1.7 * posture.lying
    return points.numpy().astype(np.float64)


def fall(rng: np.random.Generator, after_s: float, lies_s: float, *, left: bool) -> Piece:
    """From standing, within half a second."""
    steps = (Step(after_s, UP), Step(rng.uniform(0.4, 0.6), LIES), Step(lies_s, LIES))
    return piece("Fall", UP, *steps, rng=rng, left=left)


def clips(rng: np.random.Generator, each: int) -> Iterator[Piece]:
    """To learn from: of 3 s, falls and all else at any time in them."""
    for number in range(each):
        left, after_s, slow_s = number % 2 == 0, rng.uniform(0.2, 2.3), rng.uniform(1.2, 2.2)
        yield fall(rng, after_s, 2.5 - after_s, left=left)
        for start, end in ((UP, SITS), (SITS, UP), (UP, BENDS), (BENDS, UP), (UP, LIES), (LIES, UP)):
            wait_s = rng.uniform(0, 3 - slow_s)
            steps = Step(wait_s, start), Step(slow_s, end), Step(3 - wait_s - slow_s, end)
            yield piece("ADL", start, *steps, rng=rng, left=left)
        for still in (UP, SITS, LIES):
            yield piece("ADL", still, Step(3, still), rng=rng, left=left)


def write(place: Location, pieces: Sequence[tuple[str, Piece]]) -> Location:
    """Landmarks of each subject's pieces, as extraction stores them."""
    schema = landmark_schema(("pose",))
    rows = [
        {
            "clip_id": f"{subject}/{number:04d}.mp4", "label": each.label, "subject": subject, "fps": float(FPS),
            "num_frames": len(each.pose_TP3), "width": 640, "height": 480, "extractor": '{"made": "by the tests"}',
            "time_ms": np.arange(len(each.pose_TP3)) * 1000.0 / FPS,
        }
        for number, (subject, each) in enumerate(pieces)
    ]  # fmt: skip
    poses = [each.pose_TP3.reshape(-1, 99) for _, each in pieces]
    arrays = [
        encode_frames(poses, field) if field.name in ("pose", "pose_world")
        else encode_frames([np.ones((len(pose), 33), np.float32) for pose in poses], field)
        if field.name.startswith("pose_")
        else pa.array([row.get(field.name) for row in rows], field.type)
        for field in schema
    ]  # fmt: skip
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(pa.table(arrays, schema=schema))
    return place
