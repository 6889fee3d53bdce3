"""The landmark files that clips are read from: looked at, read at once, or a few clips at a time.

Shape suffixes: S sum of all frames.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from sigflow.data.spool import Put
from sigflow.errors import UserError
from sigflow.schema import CLIP_FIELDS, LANDMARKS_DIR, decode_frames
from sigflow.storage import Location, Stored
from sigflow.topology import INPUT_SHAPES

META = [field.name for field in CLIP_FIELDS if field.name != "time_ms"]
TIME = "time_s"  # beside the parts: the time of each frame
_AT_ONCE = 16 << 20  # bytes of landmarks, of clips of usual length


@dataclass(frozen=True)
class Source:
    """Files below `data`, as they were when they were looked at; `clip_bytes`: what a usual clip takes."""

    data: Location
    files: tuple[Stored, ...]
    clip_bytes: int

    @property
    def stamp(self) -> str:
        """Other files, or files that were written anew, have another one."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()

    def read(self, parts: Sequence[str]) -> pa.Table:
        """Everything, by clip_id."""
        wanted = [*META, "time_ms", *parts]
        return pa.concat_tables([file.location.read_parquet(wanted) for file in self.files]).sort_by("clip_id")

    def read_outline(self) -> tuple[pa.Table, np.ndarray]:
        """The columns that are not per frame, by clip_id; how many frames each clip has."""
        tables = []
        for batch in self._batches([*META, "time_ms"]):
            _, offsets = decode_frames(batch["time_ms"])
            told = pa.Table.from_batches([batch.select(META)])
            tables.append(told.append_column("frames", pa.array(np.diff(offsets), pa.int64())))
        table = pa.concat_tables(tables).sort_by("clip_id")
        return table.select(META), table["frames"].to_numpy()

    def put_frames(self, clip_ids: Sequence[str], offsets: np.ndarray, parts: Sequence[str], put: Put) -> None:
        """Each part of these clips, and TIME, every clip from its offset on; other clips of the files are left out.

        Raises:
            UserError: this machine does not see the files, or they were changed since they were looked at.
        """
        there = {stored.location.uri: stored for stored in (self.data / LANDMARKS_DIR).listing(".parquet")}
        if not there:
            raise UserError(
                f"{self.data} is not seen here, but each machine reads large sets: use s3:// or a shared folder"
            )
        if any(there.get(stored.location.uri) != stored for stored in self.files):
            raise UserError(f"{self.data} was changed while it was read; wait until its extraction has ended")
        places: dict[str, list[int]] = {}
        for clip_id, offset in zip(clip_ids, offsets[:-1].tolist(), strict=True):
            places.setdefault(clip_id, []).append(offset)
        for batch in self._batches(["clip_id", "time_ms", *parts]):
            time_ms_S, own = decode_frames(batch["time_ms"])
            arrays = {TIME: seconds(time_ms_S)} | {part: every_frame(batch[part], own) for part in parts}
            for row, clip_id in enumerate(batch["clip_id"].to_pylist()):
                for place in places.get(clip_id, ()):
                    for name, values in arrays.items():
                        put(name, place, values[own[row] : own[row + 1]])

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        for file in self.files:
            yield from file.location.batches(columns, max(1, _AT_ONCE // self.clip_bytes))


class Look(NamedTuple):
    """What files say without being read: how many frames there are about, and the shape of each part of a frame."""

    source: Source
    frames: int
    shapes: Mapping[str, tuple[int, ...]]


def look(data: Location, parts: Sequence[str]) -> Look:
    """The landmark files below `data`.

    Raises:
        UserError: nothing there, a part that was not extracted, or with different numbers of channels.
    """
    files = (data / LANDMARKS_DIR).listing(".parquet")
    if not files:
        hint = "it does not exist" if not data.exists() else f"it holds no {LANDMARKS_DIR}/*.parquet"
        raise UserError(f"no landmarks in {data}: {hint}; give the --out of jobs/extract.py")
    footers = [file.location.footer() for file in files]
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    columns = set.intersection(*(set(schema.names) for schema in schemas))
    if lacking := [part for part in parts if part not in columns]:
        raise UserError(
            f"{data} has no {', '.join(lacking)}; extract again with --parts that give them, or choose features that "
            "do not read them"
        )
    for part in parts:
        if any(schema.field(part).type != schemas[0].field(part).type for schema in schemas):
            raise UserError(
                f"{data} has files with different numbers of {part} channels; import each into its own --out"
            )
    widths = {part: schemas[0].field(part).type.value_type.list_size for part in parts}
    shapes = {part: INPUT_SHAPES.get(part, (width,)) for part, width in widths.items()}
    frames = sum(
        group.column(number).num_values
        for footer in footers
        for group in map(footer.row_group, range(footer.num_row_groups))
        for number in range(footer.num_columns)
        if group.column(number).path_in_schema.startswith("time_ms.")
    )
    clips = sum(footer.num_rows for footer in footers)
    source = Source(data, tuple(files), max(1, frames * frame_bytes(shapes) // max(1, clips)))
    return Look(source, frames, shapes)


def frame_bytes(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Of a frame with these parts, and its time."""
    return 4 * (1 + sum(int(np.prod(shape)) for shape in shapes.values()))


def seconds(time_ms_S: np.ndarray) -> np.ndarray:
    """Of milliseconds, as float32."""
    return (time_ms_S / 1000).astype(np.float32)


def every_frame(column: pa.ChunkedArray | pa.Array, offsets: np.ndarray) -> np.ndarray:
    """(S, C), as many frames of each clip as `offsets` say; NaN where missing."""
    values, own_offsets = decode_frames(column)
    if np.array_equal(own_offsets, offsets):
        return np.array(values)
    # A clip whose source lacks the part (.pose files need not all have a face) has no list of frames in this column.
    counts = np.diff(offsets)
    frames = np.full((offsets[-1], values.shape[1]), np.nan, np.float32)
    frames[np.repeat(np.diff(own_offsets) == counts, counts)] = values
    return frames
