"""One way to open local paths, s3:// and gs:// (pyarrow.fs).

A file can take the place of several at once, also in object storage, where nothing can be renamed. First a note
`.replaces-<new name>` says which files those are, as they were then; it counts from the moment the new file is there,
and hides them from listings until they are deleted. A file that was written anew since is another one, and is shown.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sigflow.errors import UserError

TEMPORARY = ".partial-"
_REPLACES = ".replaces-"
READERS = 32  # of many small files at once: object storage takes its time for each
_READ_AHEAD = 4 << 20  # bytes of a column: few requests to object storage
# Object storage that is away for a minute costs a job that time and no more. Of pyarrow's own three attempts at S3 the
# last is over after some seconds, and its own strategy has a budget of attempts that all streams share, so that many
# columns that are read at once give up together. These wait 50 ms, 100 ms, ..., 51 s.
_PATIENCE_S, _IMPATIENCE_S = 100, 5
_ATTEMPTS = 12  # after them so much time is over
_SILENT_S = 10.0  # without a byte: the attempt is over; by itself pyarrow waits for half a minute
_UNREACHABLE = ("NETWORK_CONNECTION", "REQUEST_TIMEOUT", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "INTERNAL_FAILURE",
                "UNAVAILABLE")  # as pyarrow words what S3 and Google say  # fmt: skip


@dataclass(frozen=True, slots=True)
class Location:
    """A file or folder on one file system. `uri` is how a user would name it.

    `patient`: whether what object storage does not answer is asked again for 100 s, or for some seconds only, where
    somebody waits. Then it is an OSError.
    """

    uri: str
    patient: bool = True

    def __truediv__(self, name: str) -> "Location":
        return Location(f"{self.uri.rstrip('/')}/{name}", self.patient)

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        """Whether plain `open` reaches it."""
        return "://" not in self.uri

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        system, path = _resolve(self)
        return system.get_file_info(path).type != fs.FileType.NotFound

    def is_folder(self) -> bool:
        """Whether a folder is there (in object storage: any key below it)."""
        system, path = _resolve(self)
        return system.get_file_info(path).type == fs.FileType.Directory

    def size(self) -> int:
        """Bytes of the file here."""
        system, path = _resolve(self)
        return int(system.get_file_info(path).size)

    def files(self, suffix: str = "", *, recursive: bool = False) -> "list[Location]":
        """Files of that suffix below this folder, by name; none without a folder. Half-written ones do not count."""
        return [stored.location for stored in self.listing(suffix, recursive=recursive)]

    def listing(self, suffix: str = "", *, recursive: bool = False) -> "list[Stored]":
        """`files`, each with its size and time."""
        system, path = _resolve(self)
        found = system.get_file_info(fs.FileSelector(path, recursive=recursive, allow_not_found=True))
        prefix = self.uri[: len(self.uri) - len(path)] if self.uri.endswith(path) else ""
        hidden = _replaced(system, found, [info for info in found if info.base_name.startswith(_REPLACES)])
        return [
            Stored(Location(prefix + info.path, self.patient), info.size, info.mtime_ns // 1_000_000)
            for info in sorted(found, key=lambda info: info.path)
            if info.type == fs.FileType.File
            and info.path.endswith(suffix)
            and not info.base_name.startswith((TEMPORARY, _REPLACES))
            and (not hidden or (info.path, *_stamp(info)) not in hidden)
        ]

    def delete(self) -> None:
        """Remove the file here, if there is one."""
        system, path = _resolve(self)
        with suppress(FileNotFoundError):
            system.delete_file(path)

    def delete_folder(self) -> None:
        """Remove the folder here with all that lies in it, if there is one."""
        system, path = _resolve(self)
        with suppress(FileNotFoundError):
            system.delete_dir(path)

    def read_bytes(self) -> bytes:
        """The whole file."""
        system, path = _resolve(self)
        with system.open_input_stream(path) as stream:
            return cast(bytes, stream.read())

    def open(self) -> pa.NativeFile:
        """A seekable stream of the file, for libraries that take one; bytes are fetched as they are read."""
        system, path = _resolve(self)
        return system.open_input_file(path)

    def write_bytes(self, data: bytes) -> None:
        """Replace the file at once: a reader sees the old one or the new one."""
        self._replace(lambda system, path: _write(system, path, data))

    def write_text(self, text: str) -> None:
        """`write_bytes` of UTF-8."""
        self.write_bytes(text.encode())

    def write_parquet(self, table: pa.Table) -> None:
        """Zstd, floats byte-stream-split, strings by dictionary; atomic."""
        encoding = _encoding(table.schema)
        self._replace(lambda system, path: pq.write_table(table, path, filesystem=system, **encoding))

    def put_in_place_of(self, old: "Sequence[Stored]", data: bytes) -> None:
        """Write a new file here, and delete those of its folder that it replaces; killed in between, see `tidy`.

        Listings show the old ones or the new one. Whoever has listed before may miss a file that he opens then.
        """
        folder, name = Location(self.uri.rsplit("/", 1)[0]), self.name
        stamps = {stored.location.name: [stored.bytes, stored.modified_ms] for stored in old}
        (folder / f"{_REPLACES}{name}").write_text(json.dumps(stamps))
        self.write_bytes(data)
        folder.tidy(name)

    def tidy(self, name: str = "") -> None:
        """Delete what is hidden in this folder: replaced, by the file of this name or by any."""
        system, path = _resolve(self)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        there = {info.base_name for info in found}
        notes = [info for info in found if info.base_name.startswith(_REPLACES + name)]
        # A note whose file is not there may be that of somebody who is about to write it.
        notes = [note for note in notes if note.base_name.removeprefix(_REPLACES) in there]
        hidden = _replaced(system, found, notes)
        for info in (*(info for info in found if (info.path, *_stamp(info)) in hidden), *notes):
            (self / info.base_name).delete()

    def rows(self) -> int:
        """How many rows the Parquet file here has."""
        system, path = _resolve(self)
        return int(pq.read_metadata(path, filesystem=system).num_rows)

    def read_parquet(self, columns: list[str] | None = None) -> pa.Table:
        """The file's table; only the named columns are read."""
        system, path = _resolve(self)
        return pq.read_table(path, columns=columns, filesystem=system)

    def batches(self, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """The table, so many rows at a time; no more than that is in memory, however large the file's row groups are.

        Measured on one row group of 288 MiB (211 MiB as a file), 64 rows at a time: 62 MiB at the most instead of 274.
        """
        system, path = _resolve(self)
        with system.open_input_file(path) as stream:
            file = pq.ParquetFile(stream, buffer_size=_READ_AHEAD, pre_buffer=False)
            yield from file.iter_batches(rows, columns=columns, use_threads=False)

    def footer(self) -> pq.FileMetaData:
        """What the Parquet file here says of its columns."""
        system, path = _resolve(self)
        return pq.read_metadata(path, filesystem=system)

    def schema(self) -> pa.Schema:
        """The schema of the Parquet file here."""
        system, path = _resolve(self)
        return pq.read_schema(path, filesystem=system)

    def _replace(self, write: Callable[[fs.FileSystem, str], None]) -> None:
        system, path = _resolve(self)
        if not isinstance(system, fs.LocalFileSystem):
            write(system, path)  # an object appears when its upload completes, never before
            return
        folder, name = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        partial = os.path.join(folder, f"{TEMPORARY}{uuid.uuid4().hex}-{name}")
        try:
            write(system, partial)
            os.replace(partial, path)
        finally:
            if os.path.exists(partial):
                os.unlink(partial)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as a listing shows it: its size, and when it was last written, in ms since 1970 (UTC)."""

    location: Location
    bytes: int
    modified_ms: int


def locate(path: str | Path, *, patient: bool = True) -> Location:
    """The location that a user names: a local path (made absolute), s3://bucket/key or gs://bucket/key."""
    text = str(path)
    if "://" not in text:
        return Location(os.path.abspath(os.path.expanduser(text)), patient)
    if text.partition("://")[2][:1] in ("", "/"):
        raise UserError(f"{text} names no bucket: use a local path, s3://bucket/key or gs://bucket/key")
    place = Location(text.rstrip("/"), patient)
    _resolve(place)
    return place


def is_unreachable(error: BaseException) -> bool:
    """Whether object storage did not answer, which is nobody's mistake: the same may be done later."""
    return isinstance(error, OSError) and any(word in str(error) for word in _UNREACHABLE)


@cache
def _system(scheme_and_bucket: str, patient: bool) -> tuple[fs.FileSystem, str]:
    limit = f"?retry_limit_seconds={_PATIENCE_S if patient else _IMPATIENCE_S}"
    try:
        system, path = fs.FileSystem.from_uri(scheme_and_bucket + limit * scheme_and_bucket.startswith("gs://"))
    except (ValueError, pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"cannot open {scheme_and_bucket}: {error}; use a local path, s3://bucket/key or gs://bucket/key"
        ) from error
    if isinstance(system, fs.S3FileSystem):  # an URI cannot say these, and only an URI looks for endpoints
        _, (options,) = system.__reduce__()
        options |= {"request_timeout": _SILENT_S, "connect_timeout": _SILENT_S}
        retry = fs.AwsDefaultS3RetryStrategy(_ATTEMPTS) if patient else fs.AwsStandardS3RetryStrategy()
        system = fs.S3FileSystem(**options, retry_strategy=retry)
    return system, path


def _resolve(place: Location) -> tuple[fs.FileSystem, str]:
    if place.is_local:
        return fs.LocalFileSystem(), place.uri
    scheme, _, rest = place.uri.partition("://")
    bucket, _, key = rest.partition("/")
    system, base = _system(f"{scheme}://{bucket}", place.patient)
    return system, f"{base}/{key}" if key else base


def _write(system: fs.FileSystem, path: str, data: bytes) -> None:
    with system.open_output_stream(path) as stream:
        stream.write(data)


def _replaced(
    system: fs.FileSystem, found: Sequence[fs.FileInfo], notes: Sequence[fs.FileInfo]
) -> set[tuple[str, int, int]]:
    """Path, bytes and time of what others of the files that were `found` have replaced, as `notes` say."""
    hidden: set[tuple[str, int, int]] = set()
    paths = {info.path for info in found} if notes else set()
    for note in notes:
        folder = note.path[: -len(note.base_name)]
        if folder + note.base_name.removeprefix(_REPLACES) in paths:
            with suppress(FileNotFoundError), system.open_input_stream(note.path) as stream:
                stamps = json.loads(stream.read())
                hidden |= {(folder + name, size, modified_ms) for name, (size, modified_ms) in stamps.items()}
    return hidden


def _stamp(info: fs.FileInfo) -> tuple[int, int]:
    return info.size, info.mtime_ns // 1_000_000


def parquet_bytes(tables: Iterable[pa.Table], schema: pa.Schema, group_bytes: int) -> bytes:
    """Tables of this schema as one Parquet file, encoded as `write_parquet` does; row groups take so much in memory."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, **_encoding(schema)) as writer:
        waiting: list[pa.Table] = []
        size = 0
        for table in tables:
            waiting.append(table)
            size += table.nbytes
            if size >= group_bytes:
                writer.write_table(pa.concat_tables(waiting))
                waiting, size = [], 0
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    return cast(bytes, sink.getvalue().to_pybytes())


def _encoding(schema: pa.Schema) -> dict[str, object]:
    leaves = _leaves(schema)
    return {
        "compression": "zstd",
        "compression_level": 9,
        "use_dictionary": [path for path, kind in leaves if not pa.types.is_floating(kind)],
        "use_byte_stream_split": [path for path, kind in leaves if pa.types.is_floating(kind)],
    }


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Parquet's column paths and their types."""
    leaves = []
    for field in schema:
        path, kind = field.name, field.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = f"{path}.list.element", kind.value_type
        leaves.append((path, kind))
    return leaves
