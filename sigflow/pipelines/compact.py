"""Many small Parquet files of a data set to few large ones, side by side over a cluster.

Extraction writes a file for every block of clips, so that little is lost with a worker: 16,000 files for a million
clips, and to list and open those takes longer than to read them. Each large file takes the place of its small ones at
once (`storage`), so that a reader sees every clip once, whenever this is killed; run again it goes on.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import ray

from sigflow.errors import UserError
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.progress import Progress
from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR
from sigflow.storage import READERS, Location, Stored, parquet_bytes

FILE_MB = 128
_ROW_GROUP_BYTES = 64 << 20  # in memory


def compact(data: Location, file_mb: int = FILE_MB) -> dict[str, Any]:
    """Merge files of less than half of `file_mb` into files of about `file_mb`; counts before and after.

    Raises:
        UserError: no data set there, or something else writes into it.
    """
    started = time.monotonic()
    places = [data / name for name in (LANDMARKS_DIR, QUARANTINE_DIR)]
    for place in places:
        place.tidy()  # after one that was killed
    before = [stored for place in places for stored in place.listing(".parquet")]
    if not before:
        raise UserError(f"{data} holds no {LANDMARKS_DIR}/*.parquet; give the --out of jobs/extract.py")
    groups = [(place, group) for place in places for group in plan(place.listing(".parquet"), file_mb << 20)]
    if groups:
        connect()
        refuse_unshared(data)
        there = reach()
        refuse_impossible(there, {"CPU": 1}, 1, "compact")
        where = there.without_gpus()
        merging = ray.remote(merge).options(num_cpus=1, label_selector=there.selector(where))
        most = where.places({"CPU": 1})
        waiting: dict[ray.ObjectRef[None], int] = {}
        with Progress("compact", sum(len(group) for _, group in groups), "files") as progress:
            while groups or waiting:
                while groups and len(waiting) < most:  # what waits for a place may bring machines that it may not use
                    place, group = groups.pop()
                    waiting[merging.remote(place, group)] = len(group)
                (done,), _ = ray.wait(list(waiting))
                try:
                    ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise (error.cause if isinstance(error.cause, UserError) else error) from error
                progress.advance(waiting.pop(done))
    after = [stored for place in places for stored in place.listing(".parquet")]
    return {
        "files_before": len(before), "files": len(after),
        "mb_before": _mb(before), "mb": _mb(after),
        "seconds": round(time.monotonic() - started, 2), "data": data.uri,
    }  # fmt: skip


def plan(files: Sequence[Stored], size: int) -> Iterator[list[Stored]]:
    """Which of the small ones become one: of the same columns, and no more than `size` bytes together."""
    small = [stored for stored in files if stored.bytes < size / 2]
    with ThreadPoolExecutor(READERS) as readers:
        schemas = list(readers.map(lambda stored: stored.location.schema(), small))
    alike: list[tuple[pa.Schema, list[Stored]]] = []
    for stored, schema in zip(small, schemas, strict=True):
        if not any(known.equals(schema) for known, _ in alike):
            alike.append((schema, []))
        next(group for known, group in alike if known.equals(schema)).append(stored)
    for _, group in alike:
        start = total = 0
        for end, stored in enumerate(group):
            if total + stored.bytes > size:
                yield group[start:end]
                start, total = end, 0
            total += stored.bytes
        if len(group) - start > 1:
            yield group[start:]


def merge(place: Location, group: Sequence[Stored]) -> None:
    """Put one file in the place of these; doing it again changes nothing.

    Raises:
        UserError: one of them was changed meanwhile.
    """
    merged = place / f"{hashlib.sha256(repr(group).encode()).hexdigest()[:20]}.parquet"
    if merged.exists():
        place.tidy(merged.name)
        return
    tables = (stored.location.read_parquet() for stored in group)
    data = parquet_bytes(tables, group[0].location.schema(), _ROW_GROUP_BYTES)
    if not set(group).issubset(place.listing(".parquet")):
        raise UserError(f"{place} was changed while its files were merged; wait until what writes there has ended")
    merged.put_in_place_of(group, data)


def _mb(files: Sequence[Stored]) -> float:
    return round(sum(stored.bytes for stored in files) / 1e6, 2)
