"""npy: one array of numbers, for models of one part."""

import math
import re
from collections.abc import Iterator, Mapping

import numpy as np
from pydantic import Field

from serve.bodies.checks import missing_or_finite, refuse_many, seconds
from serve.problems import BadInputError, ProblemError
from serve.schemas import Wanted
from serve.settings import Limits
from sigflow.predictor import ClipInput

_HEADER, _DIMENSIONS = 4096, 8  # bytes of an npy header, and dimensions; more is none
_DTYPE = re.compile(rb"""['"]descr['"]\s*:\s*['"]([<>|=]?(?:f[248]|[iu][1248]))['"]""")
_ORDER = re.compile(rb"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(rb"""['"]shape['"]\s*:\s*\(([\d, ]*)\)""")


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
    """An array of numbers; nothing is unpickled or evaluated, and nothing larger than four times the body is made.

    Source: numpy.lib.format, versions 1.0 to 3.0. numpy's own reader evaluates the header as Python, and with odd ones
    warns, or ends in errors of the tokenizer.

    Raises:
        ProblemError: 400, it is no npy file, or one of objects or text.
    """
    size = {1: 2, 2: 4, 3: 4}.get(body[6]) if body[:6] == b"\x93NUMPY" and len(body) > 8 else None
    if size is None:
        raise _no_npy("it does not begin like one")
    start = 8 + size + int.from_bytes(body[8 : 8 + size], "little")
    header = body[8 + size : start]
    found = [field.findall(header) for field in (_DTYPE, _ORDER, _SHAPE)]
    if len(header) > _HEADER or start > len(body) or any(len(values) != 1 for values in found):
        raise _no_npy("its header does not say once its descr (of numbers), fortran_order and shape")
    ((descr,), (order,), (sizes,)) = found
    try:
        shape = tuple(int(number) for number in sizes.split(b",") if number.strip())
    except ValueError as error:
        raise _no_npy("its shape has odd numbers") from error
    dtype = np.dtype(descr.decode())
    # Python's own numbers: the product may be beyond 64 bits.
    if len(shape) > _DIMENSIONS or math.prod(shape) * dtype.itemsize != len(body) - start or 0 in shape:
        raise _no_npy("it holds not as many numbers as its header says, or none")
    values = np.frombuffer(body, dtype, offset=start).reshape(shape, order="F" if order == b"True" else "C")
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _no_npy(why: str) -> ProblemError:
    return ProblemError(400, f"the body is no npy file of numbers: {why}")
