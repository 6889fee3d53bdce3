"""What every importer takes and gives: options in, a clip's columns or the reason why not out."""

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import Field, model_validator

from sigflow.config import Config

Loaded = TypeVar("Loaded")
_VERSION = 1  # raise it when an importer gives other landmarks for the same file: fingerprints then differ
# What numpy, zipfile, pyarrow (whose errors are OSError and ValueError) and pose_format raise for broken files.
_BROKEN = (
    OSError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError, RuntimeError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class ImportOptions(Config):
    """What the data does not say of itself.

    `fps`, `width` and `height` (pixels) are assumed where the layout holds none, and recorded as assumed; `subject`
    names the subject of every clip; `subject_key` names the npz array that holds one subject per clip.
    """

    fps: float = Field(default=30.0, gt=0)
    width: int = Field(default=640, gt=0)
    height: int = Field(default=480, gt=0)
    subject: str | None = None
    subject_key: str | None = None

    @model_validator(mode="after")
    def _one_subject(self) -> "ImportOptions":
        if self.subject is not None and self.subject_key is not None:
            raise ValueError("give subject or subject_key, not both")
        return self


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The columns of a clip that are known before it is read; None is unknown."""

    clip_id: str
    source: str
    label: str | None = None
    glosses: tuple[str, ...] | None = None
    subject: str | None = None
    split: str | None = None


@dataclass(frozen=True, eq=False)
class ImportedClip:
    """A clip's columns of the Parquet contract, and in how many of its frames anything was found.

    `columns` has the fields of `schema.CLIP_FIELDS` less the source's size and time and the segment's start and end,
    `time_ms` as float64 (T,); per part that the layout holds float32 (T, 3 * points); and `pose_visibility` (T, 33)
    where it holds that. A part that was not detected is a row of NaN; a point that the layout lacks or marks as unseen
    (a face's irises, legs out of view) is NaN within a row that is there. Columns that no such layout holds
    (`*_world`, `*_score`, `*_handedness`, `pose_presence`, `blendshapes`) are absent, as are parts that this layout
    has not got.
    """

    columns: dict[str, Any]
    num_frames: int
    frames_found: int


@dataclass(frozen=True)
class ImportFailure:
    """Why a clip was not imported: stage "read" (no bytes of that format), "shape" (not what the layout says) or
    "label" (its name cannot be told)."""

    clip_id: str
    source: str
    stage: str
    error: str


class ClipImportError(Exception):
    """Raised while one clip is read; ends as its `ImportFailure`."""

    def __init__(self, stage: str, error: str) -> None:
        super().__init__(error)
        self.stage = stage


def fingerprint(importer: str, options: ImportOptions, *assumed: str, **layout: str | int) -> str:
    """The `extractor` column: who made these landmarks, from what layout, and which `options` were only assumed.

    It holds nothing that differs from clip to clip of one layout, since a run refuses mixed fingerprints.
    """
    said = {"importer": importer, "version": _VERSION, **layout}
    return json.dumps(said | {"assumed": {name: getattr(options, name) for name in assumed}}, sort_keys=True)


def imported(
    identity: Identity,
    frames: dict[str, np.ndarray],
    *,
    fps: float,
    width: int,
    height: int,
    extractor: str,
    frame_numbers: np.ndarray | None = None,
) -> ImportedClip:
    """A clip from its per-frame columns, each (T, C), float32, NaN where missing.

    Times count `frame_numbers` (T,), rising, from the first of them; without it, one frame follows the other.
    """
    num_frames = len(next(iter(frames.values())))
    if not num_frames:
        raise ClipImportError("shape", "it has no frame")
    numbers = np.arange(num_frames) if frame_numbers is None else frame_numbers - frame_numbers[0]
    found = np.any([np.isfinite(values).any(axis=1) for values in frames.values()], axis=0)
    columns = {
        "clip_id": identity.clip_id,
        "source": identity.source,
        "label": identity.label,
        "glosses": None if identity.glosses is None else list(identity.glosses),
        "subject": identity.subject,
        "split": identity.split,
        "fps": float(fps),
        "num_frames": num_frames,
        "width": width,
        "height": height,
        "time_ms": numbers * 1000.0 / fps,
        "extractor": extractor,
    }
    return ImportedClip(columns | frames, num_frames, int(found.sum()))


def attempt(identity: Identity, load: Callable[[], Loaded]) -> Loaded | ImportFailure:
    """`load`, or why it could not."""
    try:
        return load()
    except ClipImportError as problem:
        return failure(identity.clip_id, identity.source, problem.stage, str(problem))
    except _BROKEN as error:
        return failure(identity.clip_id, identity.source, "read", f"{type(error).__name__}: {error}")


def failure(clip_id: str, source: str, stage: str, error: str) -> ImportFailure:
    """A failure whose reason is one short line."""
    return ImportFailure(clip_id, source, stage, " ".join(error.split())[:500])
