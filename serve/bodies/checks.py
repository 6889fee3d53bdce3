"""What is checked of clips in every body."""

import numpy as np

from serve.problems import BadInputError, ProblemError
from serve.settings import Limits


def refuse_many(clips: int, longest: int, limits: Limits) -> None:
    """413 for more than `limits` allow. `longest`: frames of the longest clip."""
    if clips > limits.clips:
        raise ProblemError(413, f"{clips} clips in one request, over {limits.clips}; send several requests")
    if longest > limits.frames:
        raise ProblemError(413, f"a clip of {longest} frames, over {limits.frames}; cut it, or use the stream")
    if clips * longest > limits.padded_frames:
        raise ProblemError(413, f"clips x frames of the longest is over {limits.padded_frames}; send several requests")


def seconds(times: np.ndarray, count: int, name: str = "time_ms") -> np.ndarray:
    """Times of `count` frames, float32 from 0 on, (T,). 422 if they are not that many, finite and increasing.

    `name`: what the client calls them.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        time_s: np.ndarray = (times - times[:1]).astype(np.float32)
    if len(time_s) != count or not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        raise BadInputError(f"'{name}' needs {count} finite numbers that increase, one per frame")
    return time_s


def missing_or_finite(part: str, points: np.ndarray) -> np.ndarray:
    """`points` as they are. 422 if one is infinite."""
    if np.isinf(points).any():
        raise BadInputError(f"{part}: infinite numbers; send NaN for what was not detected")
    return points
