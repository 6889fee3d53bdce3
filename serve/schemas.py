"""What HTTP clients send and get.

Landmarks come as nested lists: frames x points x (x, y, z), null for a frame in which the part was not detected, and
for a point that the client's detector does not give (a face of 468 points has no irises).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from sigflow.config import Config
from sigflow.predictor import ClipInput

MAX_FRAMES = 10_000
MAX_CLIPS = 256
MAX_PADDED_FRAMES = 50_000  # clips x frames of the longest: what a batch takes in memory


class BadInputError(ValueError):
    """The request cannot be understood; the message says what to change."""


class Instance(Config):
    """One clip. Times come from `time_ms`, or from `fps`."""

    landmarks: dict[str, list[Any]] = Field(
        description="by part: frames x points x 3; null frames and null points are missing"
    )
    fps: float | None = Field(default=None, gt=0, le=1000)
    time_ms: list[float] | None = Field(default=None, description="of each frame, increasing; instead of fps")
    aspect: float = Field(default=4 / 3, gt=0.05, lt=20, description="width / height of the video")


class PredictRequest(Config):
    """Either one clip's fields, or `instances`: several clips."""

    landmarks: dict[str, list[Any]] | None = None
    fps: float | None = Field(default=None, gt=0, le=1000)
    time_ms: list[float] | None = None
    aspect: float = Field(default=4 / 3, gt=0.05, lt=20)
    instances: list[Instance] | None = Field(default=None, min_length=1, max_length=MAX_CLIPS)
    top_k: int = Field(default=5, ge=1, le=1000)

    def clips(self) -> list[Instance]:
        """The clips that are asked about."""
        if (self.landmarks is None) == (self.instances is None):
            raise BadInputError("give either 'landmarks' (one clip) or 'instances' (several)")
        if self.instances is not None:
            if {"fps", "time_ms", "aspect"} & self.model_fields_set:
                raise BadInputError("with 'instances', give fps, time_ms and aspect in each of them")
            longest = max(max(map(len, clip.landmarks.values()), default=0) for clip in self.instances)
            if longest * len(self.instances) > MAX_PADDED_FRAMES:
                raise BadInputError(f"clips x frames of the longest is over {MAX_PADDED_FRAMES}; send several requests")
            return self.instances
        return [Instance(landmarks=self.landmarks or {}, fps=self.fps, time_ms=self.time_ms, aspect=self.aspect)]


class Prediction(Config):
    """The answer for one clip. `found`: share of frames with any detection; at 0 the label is a guess."""

    label: str  # of sentences: the glosses with spaces between
    probabilities: dict[str, float]  # the top k, most likely first; of sentences empty
    glosses: list[str] | None = None  # of sentences alone
    found: float


class PredictResponse(Config):
    """Answers in the order of the request."""

    model: str
    version: str
    predictions: list[Prediction]


class Problem(Config):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def clip_input(instance: Instance, shapes: Mapping[str, tuple[int, ...]]) -> ClipInput:
    """Arrays of one clip, checked.

    Raises:
        BadInputError: unknown or no parts, wrong shapes, numbers that are not finite, times that do not increase.
    """
    if unknown := set(instance.landmarks) - set(shapes):
        raise BadInputError(f"unknown part {sorted(unknown)[0]!r}; this model reads {', '.join(shapes)}")
    if not instance.landmarks:
        raise BadInputError(f"'landmarks' is empty; give {' or '.join(shapes)}")
    arrays = {part: _points(part, frames, shapes[part]) for part, frames in instance.landmarks.items()}
    counts = {len(points) for points in arrays.values()}
    if len(counts) != 1 or not 1 <= (count := counts.pop()) <= MAX_FRAMES:
        raise BadInputError(f"every part needs the same number of frames, 1 to {MAX_FRAMES}")
    if (instance.fps is None) == (instance.time_ms is None):
        raise BadInputError("give either 'fps' or 'time_ms'")
    time_s = np.arange(count) / instance.fps if instance.fps else np.array(instance.time_ms) / 1000
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        time_s = (time_s - time_s[:1]).astype(np.float32)
    if len(time_s) != count or not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        raise BadInputError(f"'time_ms' needs {count} finite numbers that increase, one per frame")
    return ClipInput(arrays, time_s, instance.aspect)


def _points(part: str, frames: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    points = np.full((len(frames), *shape), np.nan, np.float32)
    for number, frame in enumerate(frames[: MAX_FRAMES + 1]):
        if frame is None:
            continue
        absent: list[int] = []
        if len(shape) == 2 and isinstance(frame, list) and None in frame:
            absent = [row for row, point in enumerate(frame) if point is None]
            frame = [(0.0,) * shape[1] if point is None else point for point in frame]
        try:
            with np.errstate(over="ignore"):
                values = np.asarray(frame, np.float32)
        except (TypeError, ValueError, OverflowError):
            values = np.empty(0, np.float32)
        if values.shape != shape:
            wanted = f"{shape[0]} points of x, y, z" if len(shape) == 2 else f"{shape[0]} numbers"
            raise BadInputError(f"{part}, frame {number}: expected {wanted}, or null")
        if not np.isfinite(values).all():
            raise BadInputError(f"{part}, frame {number}: not finite; send null for a frame without detection")
        points[number] = values
        points[number, absent] = np.nan
    return points
