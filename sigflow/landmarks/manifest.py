"""What to extract: a folder of videos, or a CSV with one row per clip, to a table of clips."""

import io
import math
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from sigflow.errors import UserError
from sigflow.storage import Location, Stored, locate

VIDEO_SUFFIXES = frozenset(
    [".3gp", ".avi", ".gif", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"]
)
MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        ("source_bytes", pa.int64()),
        ("source_modified_ms", pa.int64()),
        ("label", pa.string()),
        ("glosses", pa.list_(pa.string())),
        ("subject", pa.string()),
        ("split", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
    ]
)
_COLUMNS = ("path", "label", "glosses", "subject", "split", "start_s", "end_s")


def read_manifest(videos: Location) -> pa.Table:
    """Clips to extract, `MANIFEST_SCHEMA`, sorted by clip_id.

    A folder is `DIR/<file>` (no labels), `DIR/<label>/<file>` or `DIR/<subject>/<label>/<file>`. A CSV has the columns
    path (relative to the CSV, absolute or a URI), label, glosses (space separated), subject, split, start_s, end_s;
    all but path are optional.
    """
    if not videos.exists():
        raise UserError(f"{videos} does not exist; --videos takes a folder of videos or a manifest .csv")
    table = _from_folder(videos) if videos.is_folder() else _from_csv(videos)
    table = table.sort_by("clip_id")
    repeated = pc.value_counts(table["clip_id"]).filter(
        pc.greater(pc.struct_field(pc.value_counts(table["clip_id"]), 1), 1)
    )
    if len(repeated):
        raise UserError(f"{videos} names clip {repeated[0]['values']} twice; give each clip one row")
    return table


def _from_folder(folder: Location) -> pa.Table:
    files = [file for file in folder.listing(recursive=True) if _is_video(file.location.name)]
    if not files:
        raise UserError(f"{folder} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}); give another folder")
    ids = [file.location.uri[len(folder.uri.rstrip("/")) + 1 :] for file in files]
    depths = sorted({clip_id.count("/") for clip_id in ids})
    if len(depths) > 1 or depths[0] > 2:
        raise UserError(
            f"{folder} has videos {' and '.join(map(str, depths))} folders deep; arrange all <label>/<file> or all "
            "<subject>/<label>/<file>, or write a manifest .csv"
        )
    folders = [PurePosixPath(clip_id).parts[:-1] for clip_id in ids]
    return _table(
        {
            "clip_id": ids,
            "source": [file.location.uri for file in files],
            "source_bytes": [file.bytes for file in files],
            "source_modified_ms": [file.modified_ms for file in files],
            "label": [names[-1] if names else None for names in folders],
            "subject": [names[0] if len(names) == 2 else None for names in folders],
        }
    )


def _from_csv(file: Location) -> pa.Table:
    try:
        rows = csv.read_csv(
            io.BytesIO(file.read_bytes()),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.float64() if name.endswith("_s") else pa.string() for name in _COLUMNS},
                strings_can_be_null=True, null_values=[""],
            ),
        )  # fmt: skip
        names = rows.column_names  # decoded here, not before
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a readable CSV: {error}") from error
    if unknown := set(names) - set(_COLUMNS):
        raise UserError(f"{file} has unknown columns {sorted(unknown)}; known are {', '.join(_COLUMNS)}")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{file} has columns {sorted(repeated)} twice; give each column once")
    if "path" not in names or rows["path"].null_count or not len(rows):
        raise UserError(f"{file} needs at least one row, and a column 'path' filled in every row")
    columns: dict[str, list[Any]] = {
        name: rows[name].to_pylist() if name in names else [None] * len(rows) for name in _COLUMNS
    }
    root = file.uri.rsplit("/", 1)[0]
    for number, (start, end) in enumerate(zip(columns["start_s"], columns["end_s"], strict=True), 2):
        if not 0 <= (start or 0) < (math.inf if end is None else end):  # so written, it refuses NaN too
            raise UserError(
                f"{file} line {number}: start_s {start} and end_s {end} are no time range; 0 <= start_s < end_s"
            )
    columns["source"] = [
        path if path.startswith("/") or "://" in path else f"{root}/{path}" for path in columns["path"]
    ]
    columns["clip_id"] = [
        path
        + (f"#{start or 0:.10g}-{'' if end is None else f'{end:.10g}'}" if start is not None or end is not None else "")
        for path, start, end in zip(columns.pop("path"), columns["start_s"], columns["end_s"], strict=True)
    ]
    stored = _stored(columns["source"])
    columns["source_bytes"] = [stored[source].bytes if source in stored else None for source in columns["source"]]
    columns["source_modified_ms"] = [
        stored[source].modified_ms if source in stored else None for source in columns["source"]
    ]
    columns["glosses"] = [text.split() if text else None for text in columns["glosses"]]
    return _table(columns)


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def _stored(sources: list[str]) -> dict[str, Stored]:
    """What is there of the sources: one listing for each folder, because object storage answers one by one slowly."""
    found: dict[str, Stored] = {}
    for folder in sorted({source.rsplit("/", 1)[0] for source in sources}):
        with suppress(UserError, OSError):  # an address that cannot be opened fails later, as the clip's own error
            found |= {stored.location.uri: stored for stored in locate(folder).listing()}
    return found


def _table(columns: dict[str, list[Any]]) -> pa.Table:
    count = len(columns["clip_id"])
    return pa.table({name: columns.get(name, [None] * count) for name in MANIFEST_SCHEMA.names}, schema=MANIFEST_SCHEMA)
