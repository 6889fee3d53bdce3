"""Tensors of the Open Inference Protocol: each row is a clip, padded to the longest.

Shape suffixes: B clips, T frames.
"""

from collections.abc import Mapping

import numpy as np

from serve.bodies.checks import missing_or_finite, refuse_many, seconds
from serve.problems import BadInputError
from serve.protocols.tensors import FLOATS, INTEGERS, Given, values
from serve.settings import Limits
from sigflow.predictor import ClipInput

_ASPECT = 4 / 3  # where it is left out, as in the native protocol


def read_rows(
    given: Mapping[str, Given], shapes: Mapping[str, tuple[int, ...]], limits: Limits
) -> tuple[list[ClipInput], int]:
    """Rows to clips, each cut to its length; and the frames of the tensors, which may be more than any clip has.

    Args:
        shapes: of each part that the model reads, in a frame.

    Raises:
        ProblemError: 422, inputs that are unknown, missing, of other shapes or of values that make no sense; 413, more
            than the limits allow.
    """
    known = (*shapes, "time_s", "aspect", "lengths")
    if unknown := set(given) - set(known):
        raise BadInputError(f"unknown input {sorted(unknown)[0]!r}; this model reads {', '.join(known)}")
    if "time_s" not in given or not set(given) & set(shapes):
        raise BadInputError(f"inputs are missing; give time_s and {' or '.join(shapes)}")
    if len(given["time_s"].tensor.shape) != 2:
        raise BadInputError("time_s: expected the shape (clips, frames)")
    batch, frames = given["time_s"].tensor.shape
    expected = {"time_s": (batch, frames), "aspect": (batch,), "lengths": (batch,)}
    expected |= {part: (batch, frames, *shape) for part, shape in shapes.items()}
    for name, each in given.items():
        if each.tensor.shape != expected[name]:
            raise BadInputError(
                f"{name}: expected the shape {expected[name]} beside this time_s, got {each.tensor.shape}"
            )
    refuse_many(batch, frames, limits)
    lengths_B = values(given["lengths"], INTEGERS) if "lengths" in given else np.full(batch, frames)
    if lengths_B.min() < 1 or lengths_B.max() > frames:
        raise BadInputError(f"lengths: each must be 1 to {frames}, the frames of time_s")
    aspects_B = values(given["aspect"], FLOATS) if "aspect" in given else np.full(batch, _ASPECT)
    if not ((aspects_B > 0.05) & (aspects_B < 20)).all():
        raise BadInputError("aspect: each must be between 0.05 and 20")
    times_BT = values(given["time_s"], FLOATS)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        points = {part: values(given[part], FLOATS).astype(np.float32, copy=False) for part in shapes if part in given}
    clips = [
        ClipInput(
            {part: missing_or_finite(part, each[row, :length]) for part, each in points.items()},
            seconds(times_BT[row, :length].astype(float), length, "time_s"),
            float(aspects_B[row]),
        )
        for row, length in enumerate(lengths_B.tolist())
    ]
    return clips, frames
