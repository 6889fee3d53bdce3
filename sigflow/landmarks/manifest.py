"""What to extract: a folder of videos, or a CSV with one row per clip, to a table of clips.

Made for millions of clips: columns stay columns, of which a row takes some 250 bytes; Python's objects take ten times
that.
"""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from sigflow.errors import UserError
from sigflow.storage import READERS, Location, Stored, locate

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
_TIMES = ("start_s", "end_s")
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
    table = table.sort_by("clip_id").combine_chunks()
    ids = table["clip_id"]
    repeated = pc.filter(ids.slice(1), pc.equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))))
    if len(repeated):
        raise UserError(f"{videos} names clip {repeated[0]} twice; give each clip one row")
    return table


def _from_folder(folder: Location) -> pa.Table:
    files = [file for file in folder.listing(recursive=True) if _is_video(file.location.name)]
    if not files:
        raise UserError(f"{folder} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}); give another folder")
    start = len(folder.uri.rstrip("/")) + 1
    ids = [file.location.uri[start:] for file in files]
    depths = sorted({clip_id.count("/") for clip_id in ids})
    if len(depths) > 1 or depths[0] > 2:
        raise UserError(
            f"{folder} has videos {' and '.join(map(str, depths))} folders deep; arrange all <label>/<file> or all "
            "<subject>/<label>/<file>, or write a manifest .csv"
        )
    (depth,) = depths
    return _table(
        {
            "clip_id": ids,
            **_columns(files),
            "label": [clip_id.rsplit("/", 2)[-2] for clip_id in ids] if depth else None,
            "subject": [clip_id.split("/", 1)[0] for clip_id in ids] if depth == 2 else None,
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
    rows = rows.combine_chunks()
    _refuse_senseless_times(file, rows)
    path, root = rows["path"], file.uri.rsplit("/", 1)[0]
    whole = pc.or_(pc.starts_with(path, "/"), pc.match_substring(path, "://"))
    columns: dict[str, Any] = {name: rows[name] for name in _COLUMNS[1:] if name in names}
    columns["source"] = pc.if_else(whole, path, pc.binary_join_element_wise(root, path, "/"))
    columns["clip_id"] = _clip_ids(rows)
    columns |= _stored(columns["source"])
    if "glosses" in columns:  # few sentences are said only once
        texts = pc.unique(columns["glosses"])
        split = pa.array([text.split() if text else None for text in texts.to_pylist()], pa.list_(pa.string()))
        columns["glosses"] = split.take(pc.index_in(columns["glosses"], texts).combine_chunks())
    return _table(columns)


def _refuse_senseless_times(file: Location, rows: pa.Table) -> None:
    start, end = (rows[name] if name in rows.column_names else pa.nulls(len(rows), pa.float64()) for name in _TIMES)
    first = pc.fill_null(start, 0.0)
    sound = pc.and_(pc.greater_equal(first, 0.0), pc.less(first, pc.fill_null(end, float("inf"))))
    if not pc.all(sound).as_py():  # NaN is not sound either
        row = pc.index(sound, False).as_py()
        raise UserError(
            f"{file} line {row + 2}: start_s {start[row]} and end_s {end[row]} are no time range; 0 <= start_s < end_s"
        )


def _clip_ids(rows: pa.Table) -> pa.ChunkedArray:
    """The path, and of a segment its times."""
    given = [name for name in _TIMES if name in rows.column_names]
    if not given:
        return rows["path"]
    is_segment = pc.or_(*(pc.is_valid(rows[name]) for name in (given[0], given[-1])))
    segments = rows.filter(is_segment).select(given).to_pydict()
    count = pc.sum(is_segment).as_py()
    times = [
        f"#{start or 0:.10g}-{'' if end is None else f'{end:.10g}'}"
        for start, end in zip(*(segments.get(name, [None] * count) for name in _TIMES), strict=True)
    ]
    ending = pc.replace_with_mask(pa.array([""] * len(rows)), is_segment.combine_chunks(), pa.array(times, pa.string()))
    return pc.binary_join_element_wise(rows["path"], ending, "")


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def _stored(source: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """What is there of the sources: one listing for each folder, because object storage answers one by one slowly."""
    folders = pc.unique(pc.replace_substring_regex(source, r"/[^/]*$", "")).to_pylist()
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(lambda folder: _columns(_listing(folder)), folders))
    there = {name: pa.concat_arrays([each[name] for each in found]) for name in found[0]}
    row = pc.index_in(source, there.pop("source"))
    return {name: pc.take(values, row) for name, values in there.items()}


def _listing(folder: str) -> list[Stored]:
    try:
        return locate(folder).listing()
    except (UserError, OSError):  # an address that cannot be opened fails later, as the clip's own error
        return []


def _columns(files: list[Stored]) -> dict[str, pa.Array]:
    return {
        "source": pa.array([file.location.uri for file in files], pa.string()),
        "source_bytes": pa.array([file.bytes for file in files], pa.int64()),
        "source_modified_ms": pa.array([file.modified_ms for file in files], pa.int64()),
    }


def _table(columns: dict[str, Any]) -> pa.Table:
    """Of columns that are not given, nothing is known."""
    count = len(columns["clip_id"])
    return pa.table(
        [pa.nulls(count, f.type) if columns.get(f.name) is None else columns[f.name] for f in MANIFEST_SCHEMA],
        schema=MANIFEST_SCHEMA,
    )
