"""Landmarks in other people's layouts to the Parquet contract, with Ray Data.

Stages, with their cardinality:
  1. plan    source -> items whose clips are in no table yet -> blocks         (driver; lists names, reads npz headers)
  2. read    block -> landmark file and quarantine file, committed by name     (tasks, 1 CPU each; 1 : 1)
  3. tally   block -> counts                                                   (driver)
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import DataContext

from sigflow.data.importers import ImportedClip, ImportFailure, ImportOptions, Item, npz, plan, read
from sigflow.pipelines.commit import commit_block, read_state
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.progress import Progress
from sigflow.pipelines.tally import print_by_label, tally, total
from sigflow.schema import QUARANTINE_SCHEMA, encode_frames, landmark_schema
from sigflow.storage import Location
from sigflow.topology import PARTS, RAW, SIGNING

_ITEMS_PER_FILE = 64


def ingest(layout: str, source: Location, out: Location, options: ImportOptions) -> dict[str, Any]:
    """Import every clip of `source` that `out` does not hold; counts of clips, frames, failed, skipped, quarantined.

    Raises:
        UserError: nothing in that layout there.
    """
    started = time.monotonic()
    items = plan(layout, source, options)
    done = set(read_state(out)["clip_id"].to_pylist())
    todo = [item for item in items if not done.issuperset(clip_ids(item))]
    counts = {"clips": 0, "failed": 0, "frames": 0}
    if todo:
        connect()
        refuse_unshared(out)
        refuse_impossible(reach(), {"CPU": 1}, 1, "ingest")
        tallies = _run(todo, out, options)
        print_by_label(tallies)
        counts = {name: total(tallies)[name] for name in counts}
    skipped = sum(len(clip_ids(item)) for item in items) - sum(len(clip_ids(item)) for item in todo)
    ids = {clip_id for item in items for clip_id in clip_ids(item)}
    state = read_state(out)
    failed = state.filter(state["failed"])["clip_id"].to_pylist()
    counts |= {"skipped": skipped, "quarantined": len(ids.intersection(failed))}
    return counts | {"seconds": round(time.monotonic() - started, 2), "out": out.uri}


def clip_ids(item: Item) -> list[str]:
    """Ids of the clips that an item gives, at least one."""
    if isinstance(item, npz.Item):
        return [item.clip_id(row) for row in range(item.first, max(item.last, item.first + 1))]
    return [item.identity.clip_id]


def import_block(items: Sequence[Item], out: Location, options: ImportOptions) -> pa.Table:
    """Stage 2: read, commit, count."""
    clips: list[pa.Table] = []
    failed: list[pa.Table] = []
    for item in items:
        for result in read(item, options):
            match result:
                case ImportedClip():
                    clips.append(clip_table(result.columns))
                case ImportFailure():
                    failed.append(pa.Table.from_pylist([vars(result)], schema=QUARANTINE_SCHEMA))
    commit_block(out, [clip_id for item in items for clip_id in clip_ids(item)], clips, failed)
    return tally(clips, failed)


def clip_table(columns: dict[str, Any]) -> pa.Table:
    """One row of the contract; what the layout does not hold is missing."""
    raw = columns[RAW].shape[1] if RAW in columns else 0
    schema = landmark_schema([part for part in PARTS if part in columns], raw=raw, signing=SIGNING in columns)
    frames = columns["num_frames"]
    arrays = []
    for field in schema:
        value = columns.get(field.name)
        if isinstance(value, np.ndarray):
            arrays.append(encode_frames([value], field))
        elif value is None and pa.types.is_list(field.type) and field.name != "glosses":
            arrays.append(pa.array([[None] * frames], field.type))
        else:
            arrays.append(pa.array([value], field.type))
    return pa.table(arrays, schema=schema)


def _run(todo: list[Item], out: Location, options: ImportOptions) -> pa.Table:
    # An npz item is a range of rows, always the same: as a block of its own it keeps its name when it is done again.
    size = 1 if isinstance(todo[0], npz.Item) else _ITEMS_PER_FILE
    blocks = [{"items": todo[start : start + size]} for start in range(0, len(todo), size)]
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False

    there = reach()
    where = there.selector(there.without_gpus())

    def stage_2(row: dict[str, Any]) -> list[dict[str, Any]]:
        counts: list[dict[str, Any]] = import_block(list(row["items"]), out, options).to_pylist()
        return counts

    tallies = ray.data.from_items(blocks, override_num_blocks=len(blocks)).flat_map(stage_2, label_selector=where)
    parts = []
    with Progress("ingest", sum(len(clip_ids(item)) for item in todo), "clips") as progress:
        for part in tallies.iter_batches(batch_size=None, batch_format="pyarrow"):
            parts.append(part)
            progress.advance(pc.sum(part["clips"]).as_py() + pc.sum(part["failed"]).as_py())
    return pa.concat_tables(parts, promote_options="permissive")
