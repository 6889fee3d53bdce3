"""JSON: landmarks as nested lists."""

import gc
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from serve.bodies.checks import refuse_many, seconds
from serve.problems import BadInputError, ProblemError
from serve.schemas import Instance, PredictRequest, Wanted
from serve.settings import Limits
from sigflow.predictor import ClipInput

_KEYS = 50  # of an object


def of_json(body: bytes, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> tuple[list[ClipInput], Wanted]:
    """Clips, and what is to be answered. The lists that were read, many times the body, are gone by then."""
    with _no_search_for_cycles():
        return _of_json(body, shapes, limits)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """What JSON is read to has none: looking for them in millions of lists took most of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _of_json(body: bytes, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> tuple[list[ClipInput], Wanted]:
    request = _parse(body, limits)
    instances = request.clips()
    refuse_many(len(instances), max(max(map(len, clip.landmarks.values()), default=0) for clip in instances), limits)
    clips = [clip_input(instance, shapes, limits) for instance in instances]
    return clips, Wanted(**{name: getattr(request, name) for name in Wanted.model_fields})


def _parse(body: bytes, limits: Limits) -> PredictRequest:
    try:
        value = from_json(body, cache_strings="none")
        _refuse_wide(value, limits)
        return PredictRequest.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInputError(f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}") from error
    except ValueError as error:  # also where lists are nested too deeply
        raise ProblemError(400, f"the body is no JSON: {error}") from error


def _refuse_wide(value: Any, limits: Limits) -> None:
    """Validation collects an error for each key and item that is wrong, of which a body may have millions."""
    instances = value.get("instances") if isinstance(value, dict) else None
    instances = instances if isinstance(instances, list) else []
    refuse_many(len(instances), 0, limits)
    for each in (value, *instances):
        for keyed in (each, each.get("landmarks")) if isinstance(each, dict) else ():
            if isinstance(keyed, dict) and len(keyed) > _KEYS:
                raise BadInputError(f"an object of {len(keyed)} keys, over {_KEYS}")


def clip_input(instance: Instance, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> ClipInput:
    """Arrays of one clip, checked.

    Raises:
        BadInputError: unknown or no parts, wrong shapes, numbers that are not finite, times that do not increase.
    """
    if unknown := set(instance.landmarks) - set(shapes):
        raise BadInputError(f"unknown part {sorted(unknown)[0]!r}; this model reads {', '.join(shapes)}")
    if not instance.landmarks:
        raise BadInputError(f"'landmarks' is empty; give {' or '.join(shapes)}")
    arrays = {part: part_points(part, frames, shapes[part], limits) for part, frames in instance.landmarks.items()}
    counts = {len(points) for points in arrays.values()}
    if len(counts) != 1 or not 1 <= (count := counts.pop()) <= limits.frames:
        raise BadInputError(f"every part needs the same number of frames, 1 to {limits.frames}")
    if (instance.fps is None) == (instance.time_ms is None):
        raise BadInputError("give either 'fps' or 'time_ms'")
    times = np.arange(count) / instance.fps if instance.fps else np.array(instance.time_ms, float) / 1000
    return ClipInput(arrays, seconds(times, count), instance.aspect)


def part_points(part: str, frames: Sequence[Any], shape: tuple[int, ...], limits: Limits) -> np.ndarray:
    """(T, *shape) of a part's frames, null where it is missing. 422 for other shapes and what is not finite."""
    points = np.full((len(frames), *shape), np.nan, np.float32)
    seen = [frame for frame in frames if frame is not None]
    if (whole := _numbers_of_all(seen, shape)) is not None:
        points[[frame is not None for frame in frames]] = whole
        return points
    given = np.zeros(points.shape[: len(shape)], bool)  # frames, or points of frames
    for number, frame in enumerate(frames[: limits.frames + 1]):
        if frame is None:
            continue
        given[number] = True
        if len(shape) == 2 and isinstance(frame, list) and len(frame) == shape[0] and None in frame:
            given[number] = [point is not None for point in frame]
            frame = [(0.0,) * shape[1] if point is None else point for point in frame]
        values = _numbers(frame, shape)
        if values is None:
            wanted = f"{shape[0]} points of x, y, z" if len(shape) == 2 else f"{shape[0]} numbers"
            raise BadInputError(f"{part}, frame {number}: expected {wanted}, or null")
        points[number] = values
    finite = np.isfinite(points)
    if not finite.all():
        broken = (~finite.reshape(*given.shape, -1).all(-1) & given).reshape(len(points), -1).any(1)
        if broken.any():
            number = int(broken.argmax())
            raise BadInputError(f"{part}, frame {number}: not finite; send null for a frame without detection")
    points[~given] = np.nan
    return points


def _numbers_of_all(frames: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray | None:
    """(T, *shape) of frames as most clients send them, at once; None: something is missing or wrong in one of them."""
    numbers: Iterable[Any] = frames
    try:
        for depth, size in enumerate(shape):
            lists = chain.from_iterable(frames) if depth else frames
            if set(map(len, lists)) != {size}:
                return None
            numbers = chain.from_iterable(numbers)
        flat = array("f", numbers)  # of numbers alone: it reads none from text
    except (TypeError, OverflowError):
        return None
    whole = np.frombuffer(flat, np.float32).reshape(len(frames), *shape)
    return whole if np.isfinite(whole).all() else None


def _numbers(frame: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """One frame; None: it is of another shape, or holds anything but numbers (numpy would read them from text)."""
    if type(frame) is not list or len(frame) != shape[0]:  # before millions of numbers are looked at
        return None
    try:
        if len(shape) == 1:
            flat = array("f", frame)
        elif all(isinstance(point, list | tuple) and len(point) == shape[1] for point in frame):
            flat = array("f", chain.from_iterable(frame))
        else:
            return None
    except (TypeError, OverflowError):
        return None
    return np.frombuffer(flat, np.float32).reshape(shape)
