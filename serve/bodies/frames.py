"""Messages of a stream to blocks of frames: JSON as text, Arrow as bytes; of a live one to pictures."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError
from pydantic_core import from_json

from serve.bodies.arrow import read_arrow, table_rows
from serve.bodies.nested import part_points
from serve.problems import BadInputError, ProblemError
from serve.settings import Limits
from sigflow.config import Config

_LATEST_MS = 1e15  # beyond, a double does not tell frames from each other
_TIME = struct.Struct("<d")


class Block(NamedTuple):
    """Frames in a row: times in seconds, float64 (T,); parts (T, ...) with NaN for missing; None: as it was before."""

    time_s: np.ndarray
    parts: dict[str, np.ndarray]
    aspect: float | None


class Picture(NamedTuple):
    """A camera's, and its time by the client's own clock."""

    time_s: float
    jpeg: bytes


class Frame(Config):
    """One frame; a part that is null or lacking was not detected."""

    time_ms: float = Field(ge=-_LATEST_MS, le=_LATEST_MS, description="by the client's own clock")
    landmarks: dict[str, list[Any] | None] = Field(default_factory=dict, description="by part: points x 3")
    aspect: float | None = Field(default=None, gt=0.05, lt=20, description="width / height, from this message on")


class StreamMessage(Config):
    """A frame's fields, or `frames`, or `{"type": "end"}`."""

    type: Literal["frames", "end"] = "frames"
    time_ms: float | None = Field(default=None, ge=-_LATEST_MS, le=_LATEST_MS)
    landmarks: dict[str, list[Any] | None] = Field(default_factory=dict)
    aspect: float | None = Field(default=None, gt=0.05, lt=20)
    frames: list[Frame] | None = None

    def all_frames(self) -> list[Frame]:
        """The frames that are sent."""
        if self.frames is None and self.time_ms is not None:
            return [Frame(time_ms=self.time_ms, landmarks=self.landmarks, aspect=self.aspect)]
        if self.frames is None or self.time_ms is not None:
            raise BadInputError("give 'time_ms' and 'landmarks' (one frame), or 'frames' (several), or type 'end'")
        if {"landmarks", "aspect"} & self.model_fields_set:
            raise BadInputError("with 'frames', give landmarks and aspect in each of them")
        return self.frames


def of_text(text: str, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Block | None:
    """What a text message holds; None: the stream is over.

    Raises:
        ProblemError: 400, no JSON; 413, too many frames; 422, what makes no sense.
    """
    _refuse_large(len(text), limits)
    try:
        message = StreamMessage.model_validate(from_json(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInputError(f"{'.'.join(str(part) for part in first['loc']) or 'message'}: {first['msg']}") from error
    except ValueError as error:  # also where lists are nested too deeply
        raise ProblemError(400, f"the message is no JSON: {error}") from error
    if message.type == "end":
        return None
    frames = message.all_frames()
    _refuse_many(len(frames), limits)
    if unknown := {part for frame in frames for part in frame.landmarks} - set(shapes):
        raise BadInputError(f"unknown part {sorted(unknown)[0]!r}; this model reads {', '.join(shapes)}")
    aspects = [frame.aspect for frame in frames if frame.aspect is not None]
    return Block(
        np.array([frame.time_ms for frame in frames], np.float64) / 1000,
        {
            part: part_points(part, [frame.landmarks.get(part) for frame in frames], shape, limits)
            for part, shape in shapes.items()
        },
        aspects[-1] if aspects else None,
    )


def of_bytes(body: bytes, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Iterator[Block]:
    """What a binary message holds: an Arrow IPC stream as `:predict` takes it, whose rows follow one another.

    Raises:
        ProblemError: 400, no Arrow stream; 413, too many frames; 415, a compressed one; 422, what makes no sense.
    """
    _refuse_large(len(body), limits)
    count = 0
    for row in table_rows(read_arrow(body), shapes, limits):
        count += len(row.time_s)
        _refuse_many(count, limits)
        if not (np.abs(row.time_s) <= _LATEST_MS / 1000).all():  # NaN too
            raise BadInputError("'time_ms' needs finite numbers, one per frame")
        yield Block(row.time_s, row.parts, row.aspect)


def of_picture(body: bytes, limits: Limits) -> Picture:
    """What a binary message of a live stream holds: 8 bytes of time (float64, little-endian, s), then a JPEG.

    Raises:
        ProblemError: 413, too large; 422, no time, or one that makes no sense.
    """
    _refuse_large(len(body), limits)
    if len(body) <= _TIME.size:
        raise BadInputError("give 8 bytes of time (float64, little-endian, seconds), then a JPEG")
    (time_s,) = _TIME.unpack_from(body)
    if not abs(time_s) <= _LATEST_MS / 1000:  # NaN too
        raise BadInputError("the time before the JPEG needs to be finite, in seconds, little-endian")
    return Picture(time_s, body[_TIME.size :])


def _refuse_large(size: int, limits: Limits) -> None:
    if size > limits.stream_message_bytes:
        raise ProblemError(413, f"a message is over {limits.stream_message_bytes} bytes; send fewer frames in one")


def _refuse_many(count: int, limits: Limits) -> None:
    if count > limits.stream_message_frames:
        raise ProblemError(413, f"{count} frames in one message, over {limits.stream_message_frames}; send several")
