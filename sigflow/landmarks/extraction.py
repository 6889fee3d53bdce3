"""One clip of the manifest to one row of the Parquet contract, or to the reason why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow.errors import UserError
from sigflow.landmarks.detector import Detector, DetectorOptions, FrameDetections
from sigflow.landmarks.hands import HandDetection, assign_sides
from sigflow.landmarks.video import ClipError, read_frames
from sigflow.schema import QUARANTINE_SCHEMA, encode_frames, landmark_schema
from sigflow.storage import locate


@dataclass(frozen=True)
class Extracted:
    """A clip's columns, and the share of its frames in which anything was found."""

    columns: dict[str, Any]
    num_frames: int
    frames_found: int


@dataclass(frozen=True)
class Failed:
    """A row of the quarantine table."""

    columns: dict[str, str]


def extract_clip(
    clip: Mapping[str, Any], options: DetectorOptions, model_paths: Mapping[str, Path]
) -> Extracted | Failed:
    """Decode, detect, assign hands. Never raises for a bad video."""
    try:
        return _extract(clip, options, model_paths)
    except ClipError as error:
        return failure(clip, options, error.stage, str(error))
    except (OSError, RuntimeError, ValueError, MemoryError) as error:  # what MediaPipe and file systems raise
        return failure(clip, options, "detect", f"{type(error).__name__}: {error}")


def failure(clip: Mapping[str, Any], options: DetectorOptions, stage: str, error: str) -> Failed:
    """The quarantine row of a clip."""
    return Failed(
        {
            "clip_id": clip["clip_id"],
            "source": clip["source"],
            "stage": stage,
            "error": " ".join(error.split())[:500],
            "extractor": options.fingerprint,
        }
    )


def landmark_table(clips: list[Extracted], options: DetectorOptions) -> pa.Table:
    """Rows of the contract."""
    schema = landmark_schema(options.parts)
    columns = []
    for field in schema:
        values = [clip.columns[field.name] for clip in clips]
        is_frames = clips and isinstance(values[0], np.ndarray) and values[0].dtype.kind == "f"
        columns.append(encode_frames(values, field) if is_frames else pa.array(values, field.type))
    return pa.table(columns, schema=schema)


def quarantine_table(clips: list[Failed]) -> pa.Table:
    """Rows of the failure table."""
    return pa.Table.from_pylist([clip.columns for clip in clips], schema=QUARANTINE_SCHEMA)


def _extract(clip: Mapping[str, Any], options: DetectorOptions, model_paths: Mapping[str, Path]) -> Extracted:
    try:
        stream = locate(clip["source"]).open()
    except (OSError, UserError) as error:
        raise ClipError("open", str(error)) from error
    times_ms: list[float] = []
    seen: list[FrameDetections] = []
    with stream, Detector(options, model_paths) as detector:
        for frame in read_frames(
            stream, options.sampling, mirrored=options.mirrored, start_s=clip["start_s"] or 0.0, end_s=clip["end_s"]
        ):
            times_ms.append(frame.time_ms)
            seen.append(detector.detect(frame.rgb_HWC, frame.time_ms))
            height, width = frame.rgb_HWC.shape[:2]
    if not times_ms:
        raise ClipError("decode", "no frame could be decoded")
    span_s = (times_ms[-1] - times_ms[0]) / 1000
    columns = {
        name: clip[name] for name in ("clip_id", "source", "label", "glosses", "subject", "split", "start_s", "end_s")
    } | {
        "fps": (len(times_ms) - 1) / span_s if span_s > 0 else None,
        "num_frames": len(times_ms),
        "width": width,
        "height": height,
        "time_ms": np.array(times_ms),
        "extractor": options.fingerprint,
    }
    if "hands" in options.models:
        sides = assign_sides([frame.hands for frame in seen])
        for side in ("left_hand", "right_hand"):
            columns |= _hand_columns(side, [given.get(side) for given in sides])
    for field in landmark_schema(options.parts):
        if field.name not in columns:
            missing = np.full(field.type.value_type.list_size, np.nan, np.float32)
            columns[field.name] = np.stack([frame.vectors.get(field.name, missing) for frame in seen])
    found = sum(bool(frame.hands or frame.vectors) for frame in seen)
    return Extracted(columns, len(times_ms), found)


def _hand_columns(side: str, hands: list[HandDetection | None]) -> dict[str, Any]:
    missing = np.full(63, np.nan, np.float32)
    return {
        side: np.stack([missing if hand is None else hand.image_P3.reshape(-1) for hand in hands]),
        f"{side}_world": np.stack([missing if hand is None else hand.world_P3.reshape(-1) for hand in hands]),
        f"{side}_score": np.array([np.nan if hand is None else hand.score for hand in hands], np.float32),
        f"{side}_handedness": [None if hand is None else hand.handedness for hand in hands],
    }
