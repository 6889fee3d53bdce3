"""Arrow IPC streams: rows as extraction writes them to Parquet."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from flatbuffers.encode import Get
from flatbuffers.packer import uoffset
from flatbuffers.table import Table

from serve.bodies.checks import missing_or_finite, refuse_many, seconds
from serve.problems import BadInputError, ProblemError
from serve.settings import Limits
from sigflow.predictor import ClipInput

_MESSAGES = 1000  # each takes memory, however empty it is


class Row(NamedTuple):
    """One row: parts (T, ...), times as they were sent, which are yet to be checked, (T,), and the aspect."""

    parts: dict[str, np.ndarray]
    time_s: np.ndarray
    aspect: float


def of_arrow(body: bytes, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Iterator[ClipInput]:
    """Each row of an IPC stream is a clip; see `table_rows`."""
    yield from of_table(read_arrow(body), shapes, limits)


def of_table(table: pa.Table, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Iterator[ClipInput]:
    """Each row is a clip; see `table_rows`."""
    for row in table_rows(table, shapes, limits):
        yield ClipInput(row.parts, seconds(row.time_s, len(row.time_s)), row.aspect)


def table_rows(table: pa.Table, shapes: Mapping[str, tuple[int, ...]], limits: Limits) -> Iterator[Row]:
    """Rows of the Parquet contract: the parts, `time_ms`, and `width` and `height`, or `aspect`."""
    refuse_many(len(table), 0, limits)
    names = set(table.column_names)
    parts = [part for part in shapes if part in names]
    if not parts or "time_ms" not in names or not (names >= {"width", "height"} or "aspect" in names):
        raise BadInputError(
            f"expected the columns {' or '.join(shapes)}, time_ms, and width and height, or aspect; got {sorted(names)}"
        )
    if len(names) != len(table.column_names):
        raise BadInputError("two columns have the same name")
    if not len(table):
        raise BadInputError("there are no rows")
    rows = table.select([*parts, *sorted(names & {"time_ms", "width", "height", "aspect"})])
    for field in rows.schema:
        kind = field.type.value_type if field.name == "time_ms" and pa.types.is_list(field.type) else field.type
        if field.name not in parts and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise BadInputError(f"{field.name} is of {field.type}, not of numbers")
    lengths = [len(each) if each is not None else 0 for each in _scalars(rows["time_ms"])]
    refuse_many(len(lengths), max(lengths, default=0), limits)
    for number, count in enumerate(lengths):
        row = {name: rows[name][number] for name in rows.column_names}
        try:
            arrays = {part: _frames(row[part], shapes[part], count) for part in parts}
            times = np.array(row["time_ms"].as_py(), float) / 1000
            aspect = row["aspect"].as_py() if "aspect" in row else row["width"].as_py() / row["height"].as_py()
        except (TypeError, ValueError, ZeroDivisionError, AttributeError, pa.ArrowException) as error:
            raise BadInputError(f"row {number}: {error}") from error
        if not count or aspect is None or not 0.05 < aspect < 20:
            raise BadInputError(f"row {number}: needs frames, and an aspect between 0.05 and 20")
        yield Row({part: missing_or_finite(part, each) for part, each in arrays.items()}, times, float(aspect))


def _scalars(column: pa.ChunkedArray) -> Iterator[Any]:
    for chunk in column.chunks:
        for value in chunk:
            yield value if value.is_valid and pa.types.is_list(value.type) else None


def _frames(cell: Any, shape: tuple[int, ...], count: int) -> np.ndarray:
    """(T, *shape) of a list of frames, missing where one is null."""
    points = np.full((count, *shape), np.nan, np.float32)
    if not cell.is_valid:
        return points
    frames = cell.values
    size = int(np.prod(shape))
    if len(frames) != count or not pa.types.is_fixed_size_list(frames.type) or frames.type.list_size != size:
        raise ValueError(f"expected {count} frames, as many as time_ms, of {size} numbers each")
    there = frames.is_valid().to_numpy(zero_copy_only=False)
    points[there] = frames.flatten().cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, *shape)
    return points


def read_arrow(body: bytes) -> pa.Table:
    """A table from an uncompressed IPC stream.

    Raises:
        ProblemError: 400, it is no such stream; 415, its buffers are compressed: a small body could be a huge table.
    """
    try:
        for number, message in enumerate(pa.ipc.MessageReader.open_stream(body)):
            if number > _MESSAGES:
                raise ProblemError(413, f"over {_MESSAGES} record batches; write the table in one")
            if message.type not in ("schema", "record batch"):
                raise ProblemError(415, "dictionary-encoded columns are not read; send plain lists")
            if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
                raise ProblemError(415, "compressed Arrow buffers are not read; write the stream without compression")
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, ValueError, OSError, IndexError, TypeError, struct.error) as error:
        raise ProblemError(400, f"the body is no Arrow stream: {error}") from error
    return table


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch's message has the field `compression` (Arrow's format/Message.fbs)."""
    message = Table(metadata, Get(uoffset, metadata, 0))
    batch = Table(metadata, message.Indirect(message.Pos + message.Offset(_slot(2))))
    return bool(batch.Offset(_slot(3)))


def _slot(field: int) -> int:
    return 4 + 2 * field
