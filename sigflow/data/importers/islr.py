"""The long Parquet of Kaggle's "Isolated Sign Language Recognition" (asl-signs): one file per clip, one row per point.

Columns frame, row_id, type (face, left_hand, pose, right_hand), landmark_index, x, y, z; x and y are divided by the
frame's width and height, and NaN means "not detected". The data says nothing of fps and frame size: both are assumed.

Source: https://www.kaggle.com/competitions/asl-signs/data.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from sigflow.data.importers.arrays import to_float32
from sigflow.data.importers.clip import (
    ClipImportError,
    Identity,
    ImportedClip,
    ImportFailure,
    ImportOptions,
    attempt,
    fingerprint,
    imported,
)
from sigflow.data.importers.folders import files_below
from sigflow.data.importers.layouts import HOLISTIC_FACE_POINTS, as_part
from sigflow.errors import UserError
from sigflow.storage import Location, locate

_TYPES = {"face": HOLISTIC_FACE_POINTS, "left_hand": 21, "pose": 33, "right_hand": 21}
_POINTS = sum(_TYPES.values())
_COLUMNS = ("frame", "type", "landmark_index", "x", "y", "z")
MAX_FRAMES = 4_000  # over two minutes at 30 frames/s; clips of one sign have a few hundred at most
MAX_BYTES = 256 << 20  # unpacked, as the file says before it is


@dataclass(frozen=True)
class Item:
    """One file, and what train.csv says of it."""

    identity: Identity


def plan(source: Location, options: ImportOptions) -> list[Item]:
    """The Parquet files below `source`, labelled by the `train.csv` (path, participant_id, sequence_id, sign) in it.

    A file that train.csv does not name has no label, and as its subject the folder it lies in
    (`train_landmark_files/<participant_id>/`). Rows of train.csv without a file are no clips: parts of this large
    data set are often copied alone. `options.subject` goes before all of these.

    Raises:
        UserError: no Parquet file, or a train.csv that cannot be read.
    """
    signs = _train_csv(source / "train.csv") if source.is_folder() else {}
    items = []
    for name, file in files_below(source, ".parquet").items():
        folders = PurePosixPath(name).parts[:-1]
        identity = Identity(clip_id=name, source=file.uri, subject=folders[-1] if folders else None)
        if name in signs:
            participant, sign = signs[name]
            identity = replace(identity, label=sign, subject=participant)
        items.append(Item(replace(identity, subject=options.subject or identity.subject)))
    return items


def read(item: Item, options: ImportOptions) -> Iterator[ImportedClip | ImportFailure]:
    """The one clip of the item: all four parts, the face's irises NaN. Times follow the frame numbers, gaps and all."""
    yield attempt(item.identity, lambda: _read(item, options))


def _read(item: Item, options: ImportOptions) -> ImportedClip:
    frames_TP3, numbers = _points(_table(locate(item.identity.source)))
    parts = np.split(frames_TP3, np.cumsum([*_TYPES.values()])[:-1], axis=1)
    return imported(
        item.identity,
        {part: as_part(part, points) for part, points in zip(_TYPES, parts, strict=True)},
        fps=options.fps,
        width=options.width,
        height=options.height,
        extractor=fingerprint("islr", options, "fps", "width", "height"),
        frame_numbers=numbers,
    )


def _table(file: Location) -> pa.Table:
    with file.open() as stream:
        parquet = pq.ParquetFile(stream, read_dictionary=["type"])
        if lacking := [name for name in _COLUMNS if name not in parquet.schema_arrow.names]:
            raise ClipImportError("shape", f"it has no column {', '.join(lacking)}")
        rows = parquet.metadata.num_rows
        unpacked = sum(parquet.metadata.row_group(i).total_byte_size for i in range(parquet.num_row_groups))
        if rows > MAX_FRAMES * _POINTS or unpacked > MAX_BYTES:
            raise ClipImportError("shape", f"{rows} rows in {unpacked} bytes are no clip of up to {MAX_FRAMES} frames")
        table = parquet.read([*_COLUMNS])
    if any(table[name].null_count for name in ("frame", "type", "landmark_index")):
        raise ClipImportError("shape", "frame, type or landmark_index is null in some row")
    return table


def _points(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(T, 543, 3), NaN where there is no row; and the frames' numbers (T,), rising."""
    if unknown := sorted({str(name) for name in pc.unique(table["type"]).to_pylist()} - {*_TYPES}):
        raise ClipImportError("shape", f"unknown type {unknown[0][:20]}; known are {', '.join(_TYPES)}")
    kind = pc.index_in(table["type"].cast(pa.string()), pa.array([*_TYPES]))
    sizes = np.array([*_TYPES.values()])
    kinds, index = kind.to_numpy(), table["landmark_index"].cast(pa.int64()).to_numpy()
    if ((index < 0) | (index >= sizes[kinds])).any():
        raise ClipImportError("shape", f"a landmark_index is beyond its type's points ({_TYPES})")
    numbers, frame = np.unique(table["frame"].cast(pa.int64()).to_numpy(), return_inverse=True)
    place = frame * _POINTS + (np.cumsum(sizes) - sizes)[kinds] + index
    # So many frames of a few rows each would take far more memory than the file has.
    if len(numbers) > MAX_FRAMES:
        raise ClipImportError("shape", f"{len(numbers)} frames are no clip; {MAX_FRAMES} is the most")
    if len(np.unique(place)) < len(place):
        raise ClipImportError("shape", "a landmark is there twice in one frame")
    points = np.full((len(numbers) * _POINTS, 3), np.nan, np.float32)
    points[place] = np.stack([to_float32(table[axis].cast(pa.float64()).to_numpy()) for axis in "xyz"], axis=1)
    if np.isinf(points).any():
        raise ClipImportError("shape", "it holds infinite numbers")
    return points.reshape(len(numbers), _POINTS, 3), numbers


def _train_csv(file: Location) -> dict[str, tuple[str | None, str | None]]:
    """Path to (participant_id, sign)."""
    if not file.exists():
        return {}
    wanted = ["path", "participant_id", "sign"]
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=True,
        null_values=[""],
    )  # fmt: skip
    try:
        rows = csv.read_csv(io.BytesIO(file.read_bytes()), convert_options=convert)
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not the train.csv of asl-signs (path, participant_id, sign): {error}") from error
    paths, participants, signs = (rows[name].to_pylist() for name in wanted)
    return {path: (participant, sign) for path, participant, sign in zip(paths, participants, signs, strict=True)}
