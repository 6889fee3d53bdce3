"""npy: one array of numbers, for models of one part."""

import io
import math
import warnings
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field

from serve.bodies.checks import missing_or_finite, refuse_many, seconds
from serve.problems import BadInputError, ProblemError
from serve.schemas import Wanted
from serve.settings import Limits
from sigflow.predictor import ClipInput

_HEADER = 4096  # bytes of an npy header; more is no header


class NpyQuery(Wanted):
    """Beside an array that says nothing of time."""

    fps: float = Field(gt=0, le=1000)
    aspect: float = Field(default=4 / 3, gt=0.05, lt=20)


def of_npy(body: bytes, wanted: NpyQuery, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Iterator[ClipInput]:
    """(T, P, 3) of one clip, or (N, T, P, 3) of several of equal length; NaN is missing."""
    if len(shapes) != 1:
        several = ", ".join(shapes)
        raise BadInputError(f"npy is for models of one part; this one reads {several}: send JSON or Arrow")
    ((part, shape),) = shapes.items()
    points = read_npy(body)
    if points.ndim == len(shape) + 1:
        points = points[None]
    if points.ndim != len(shape) + 2 or points.shape[2:] != shape or 0 in points.shape:
        raise BadInputError(f"expected an array of frames x {' x '.join(map(str, shape))}, or clips x that")
    count, frames = points.shape[:2]
    refuse_many(count, frames, limits)
    time_s = seconds(np.arange(frames) / wanted.fps, frames)
    for clip in points:
        yield ClipInput({part: missing_or_finite(part, clip)}, time_s, wanted.aspect)


def read_npy(body: bytes) -> np.ndarray:
    """An array of numbers; nothing is unpickled, and nothing larger than the body is made.

    Raises:
        ProblemError: 400, it is no npy file, or one of objects or text.
    """
    try:
        stream = io.BytesIO(body)
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        with warnings.catch_warnings(action="error"):  # of odd literals in the header
            shape, fortran, dtype = read(stream, max_header_size=_HEADER)
        numbers = math.prod(shape)  # of Python's own numbers: it may be beyond 64 bits
        if dtype.kind not in "fiu" or min(shape, default=1) < 1 or dtype.shape:
            raise ValueError("it holds no numbers")
        if numbers * dtype.itemsize != len(body) - stream.tell():
            raise ValueError("it holds not as many numbers as its header says")
        values = np.frombuffer(body, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran else "C")
    except (ArithmeticError, EOFError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError,
            Warning) as error:  # fmt: skip
        raise ProblemError(400, f"the body is no npy file of numbers: {error}") from error
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
