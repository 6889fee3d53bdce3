"""Clips of one video to rows of the Parquet contract, or to the reasons why not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow.errors import UserError
from sigflow.landmarks.detector import Detector, DetectorOptions, FrameDetections
from sigflow.landmarks.hands import SIDES, HandDetection, assign_sides
from sigflow.landmarks.manifest import MANIFEST_SCHEMA
from sigflow.landmarks.video import Bounds, ClipError, Sampler, decode, upright_rgb
from sigflow.schema import QUARANTINE_SCHEMA, encode_frames, landmark_schema
from sigflow.storage import is_unreachable, locate
from sigflow.topology import POSE_NAMES

_JOIN_GAP_S = 5.0  # segments closer than this are read in one pass, which decodes the gap too
_MIN_WRIST_VISIBILITY = 0.5
UNREAD = "storage"  # the stage of clips that object storage did not give: nothing is wrong with them
_NO_FRAME = ("decode", "no frame could be decoded, or none in the segment")


@dataclass(frozen=True)
class Extracted:
    """A clip's columns."""

    columns: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """A row of the quarantine table."""

    columns: dict[str, Any]


def extract_clip(
    clip: Mapping[str, Any], options: DetectorOptions, model_paths: Mapping[str, Path]
) -> Extracted | Failed:
    """Decode, detect, assign hands. Never raises for a bad video."""
    (result,) = extract_clips([clip], options, model_paths)
    return result


def extract_clips(
    clips: Sequence[Mapping[str, Any]],
    options: DetectorOptions,
    model_paths: Mapping[str, Path],
    *,
    bounds: Bounds | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> Iterator[Extracted | Failed]:
    """Clips (manifest rows) of ONE source; those that lie near each other share one pass over its frames."""
    for group in _passes(clips):
        yield from _one_pass(group, options, model_paths, bounds, on_frame)


def failure(clip: Mapping[str, Any], options: DetectorOptions, stage: str, error: str) -> Failed:
    """The quarantine row of a clip."""
    columns = {name: clip.get(name) for name in ("clip_id", "source", "source_bytes", "source_modified_ms")}
    return Failed(columns | {"stage": stage, "error": " ".join(error.split())[:500], "extractor": options.fingerprint})


def row_of(
    clip: Mapping[str, Any],
    options: DetectorOptions,
    size: tuple[int, int],
    times_ms: Sequence[float],
    seen: Sequence[FrameDetections],
    sides: Sequence[Mapping[str, HandDetection]],
) -> Extracted:
    """The row of a clip (a manifest row).

    Args:
        size: width and height.
        seen: in each frame.
        sides: of each frame, which of its hands is the left, and which the right.
    """
    span_s = (times_ms[-1] - times_ms[0]) / 1000
    columns = {name: clip.get(name) for name in MANIFEST_SCHEMA.names} | {
        "fps": (len(times_ms) - 1) / span_s if span_s > 0 else None,
        "num_frames": len(times_ms),
        "width": size[0],
        "height": size[1],
        "time_ms": np.array(times_ms),
        "extractor": options.fingerprint,
    }
    if "hands" in options.models:
        for side in SIDES:
            columns |= _hand_columns(side, [given.get(side) for given in sides])
    for field in landmark_schema(options.parts):
        if field.name not in columns:
            missing = np.full(field.type.value_type.list_size, np.nan, np.float32)
            columns[field.name] = np.stack([frame.vectors.get(field.name, missing) for frame in seen])
    return Extracted(columns)


def landmark_table(clips: Sequence[Extracted], options: DetectorOptions) -> pa.Table:
    """Rows of the contract."""
    schema = landmark_schema(options.parts)
    columns = []
    for field in schema:
        values = [clip.columns[field.name] for clip in clips]
        is_frames = clips and isinstance(values[0], np.ndarray) and values[0].dtype.kind == "f"
        columns.append(encode_frames(values, field) if is_frames else pa.array(values, field.type))
    return pa.table(columns, schema=schema)


def quarantine_table(clips: Sequence[Failed]) -> pa.Table:
    """Rows of the failure table."""
    return pa.Table.from_pylist([clip.columns for clip in clips], schema=QUARANTINE_SCHEMA)


class _Recording:
    """One clip while its video is read."""

    def __init__(self, clip: Mapping[str, Any], options: DetectorOptions, model_paths: Mapping[str, Path]) -> None:
        self.clip, self._options = clip, options
        self.sampler = Sampler(options.sampling, clip["start_s"] or 0.0, clip["end_s"])
        self._detector = Detector(options, model_paths)
        self._times_ms: list[float] = []
        self._size = (0, 0)

    def add(self, rgb_HWC: np.ndarray, time_ms: float) -> None:
        self._times_ms.append(time_ms)
        self._detector.add(rgb_HWC, time_ms)
        self._size = (rgb_HWC.shape[1], rgb_HWC.shape[0])

    def finish(self) -> Extracted | Failed:
        """Its row, or why there is none: this clip's end may fail without costing the others of its video."""
        try:
            seen = self._detector.finish()
            return self._row(seen) if seen else failure(self.clip, self._options, *_NO_FRAME)
        except Exception as error:
            return failure(self.clip, self._options, "detect", str(error) or type(error).__name__)
        finally:
            self.close()

    def close(self) -> None:
        self._detector.close()

    def _row(self, seen: Sequence[FrameDetections]) -> Extracted:
        width, height = self._size
        wrists = [wrists_of(frame) for frame in seen] if "pose" in self._options.models else None
        sides = assign_sides([frame.hands for frame in seen], wrists=wrists, aspect=width / height)
        return row_of(self.clip, self._options, self._size, self._times_ms, seen, sides)


def _passes(clips: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Segments in order of their start, cut where the next one begins long after all others have ended."""
    group: list[Mapping[str, Any]] = []
    end_s = 0.0
    for clip in sorted(clips, key=lambda clip: clip["start_s"] or 0.0):
        if group and (clip["start_s"] or 0.0) > end_s + _JOIN_GAP_S:
            yield group
            group = []
        group.append(clip)
        end_s = max(end_s, np.inf if clip["end_s"] is None else clip["end_s"])
    if group:
        yield group


def _one_pass(
    clips: Sequence[Mapping[str, Any]],
    options: DetectorOptions,
    model_paths: Mapping[str, Path],
    bounds: Bounds | None,
    on_frame: Callable[[], None],
) -> Iterator[Extracted | Failed]:
    waiting = list(clips)
    active: list[_Recording] = []
    ends = [clip["end_s"] for clip in clips]
    end_s = None if None in ends else max(ends)
    try:
        with locate(clips[0]["source"]).open() as stream:
            if stream.size() == 0:
                raise ClipError("open", "the file is empty")
            for decoded in decode(stream, start_s=clips[0]["start_s"] or 0.0, end_s=end_s, bounds=bounds):
                on_frame()
                time_s = decoded.time_s
                while waiting and time_s >= (waiting[0]["start_s"] or 0.0) - 1e-6:
                    active.append(_Recording(waiting[0], options, model_paths))
                    del waiting[0]  # not before: what cannot be started is still waiting
                times_ms = [recording.sampler.time_ms(time_s) for recording in active]
                if any(time_ms is not None for time_ms in times_ms):
                    rgb_HWC = upright_rgb(decoded, mirrored=options.mirrored)
                for recording, time_ms in zip(list(active), times_ms, strict=True):
                    if time_ms is not None:
                        recording.add(rgb_HWC, time_ms)
                    elif recording.sampler.is_over(time_s):  # its trackers are freed before the next segment's open
                        active.remove(recording)
                        yield recording.finish()
        while active:
            yield active.pop(0).finish()
        problem = _NO_FRAME
    except Exception as error:  # whatever it is, it is this video's: the others go on
        stage = getattr(error, "stage", "open" if isinstance(error, OSError | UserError) else "detect")
        if is_unreachable(error):
            stage = UNREAD
        problem = (stage, str(error) or type(error).__name__)
    finally:
        for recording in active:
            recording.close()
    for clip in [*(recording.clip for recording in active), *waiting]:
        yield failure(clip, options, *problem)


def wrists_of(frame: FrameDetections) -> np.ndarray | None:
    """The pose's left and right wrist (2, 2), NaN where it is not clearly seen."""
    if "pose" not in frame.vectors:
        return None
    numbers = [POSE_NAMES.index("left_wrist"), POSE_NAMES.index("right_wrist")]
    wrists_W2 = frame.vectors["pose"].reshape(-1, 3)[numbers, :2]
    clear = frame.vectors["pose_visibility"][numbers] >= _MIN_WRIST_VISIBILITY
    return np.where(clear[:, None], wrists_W2, np.nan)


def _hand_columns(side: str, hands: Sequence[HandDetection | None]) -> dict[str, Any]:
    missing = np.full(63, np.nan, np.float32)
    return {
        side: np.stack([missing if hand is None else hand.image_P3.reshape(-1) for hand in hands]),
        f"{side}_world": np.stack([missing if hand is None else hand.world_P3.reshape(-1) for hand in hands]),
        f"{side}_score": np.array([np.nan if hand is None else hand.score for hand in hands], np.float32),
        f"{side}_handedness": [None if hand is None else hand.handedness for hand in hands],
    }
