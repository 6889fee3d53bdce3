"""What was done, small enough to send from every worker to the driver: counts by label."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigflow.topology import PARTS

COUNTS = ("clips", "failed", "frames", "found", "hands", "repaired")
TALLY_SCHEMA = pa.schema([("clip_id", pa.string()), ("label", pa.string()), *((name, pa.int64()) for name in COUNTS)])
_WORDS = {"left_hand": "Left", "right_hand": "Right"}
_SHOWN = 40


def tally(clips: Sequence[pa.Table], failed: Sequence[pa.Table]) -> pa.Table:
    """`TALLY_SCHEMA`, one row per clip.

    `found`: frames in which any part was detected. `hands`: frames with a hand. `repaired`: hands given another side
    than MediaPipe's word for them.
    """
    tables = [TALLY_SCHEMA.empty_table()]
    for table in clips:
        counts = {
            "clips": [1] * len(table), "failed": [0] * len(table), "frames": table["num_frames"],
            "found": _found(table, PARTS), "hands": _found(table, _WORDS), "repaired": _repaired(table),
        }  # fmt: skip
        tables.append(_told(table["clip_id"], table["label"], counts))
    for table in failed:
        zeros: dict[str, Any] = dict.fromkeys(COUNTS, [0] * len(table))
        tables.append(_told(table["clip_id"], pa.nulls(len(table)), zeros | {"failed": [1] * len(table)}))
    return pa.concat_tables(tables).combine_chunks()


def _told(clip_id: pa.ChunkedArray, label: Any, counts: dict[str, Any]) -> pa.Table:
    return pa.table({"clip_id": clip_id, "label": label, **counts}).cast(TALLY_SCHEMA)


def total(tallies: pa.Table) -> dict[str, int]:
    """The sum of each count."""
    return {name: pc.sum(tallies[name]).as_py() or 0 for name in COUNTS}


def print_by_label(tallies: pa.Table) -> None:
    """A table on stderr, by label: clips, share of frames with a detection and with a hand, median length."""
    labelled = tallies.filter(pc.greater(tallies["clips"], 0))
    named = pc.fill_null(labelled["label"], "")
    told = pc.if_else(pc.equal(named, ""), "(none)", named).combine_chunks().dictionary_encode()
    code_N = told.indices.to_numpy()
    lengths, found, hands = (labelled[name].to_numpy() for name in ("frames", "found", "hands"))
    labels = sorted((label, code) for code, label in enumerate(told.dictionary.to_pylist()))
    width = max((len(label) for label, _ in labels), default=5)
    print(f"{'label':{width}}  clips   found   hands  median frames", file=sys.stderr)
    for label, code in labels[:_SHOWN]:
        here = code_N == code
        frames = max(lengths[here].sum(), 1)
        shares = f"{found[here].sum() / frames:6.1%}  {hands[here].sum() / frames:6.1%}"
        print(f"{label:{width}}  {here.sum():5d}  {shares}  {np.median(lengths[here]):.0f}", file=sys.stderr)
    if len(labels) > _SHOWN:
        print(f"... and {len(labels) - _SHOWN} labels more", file=sys.stderr)


def _found(table: pa.Table, wanted: Iterable[str]) -> list[int]:
    counts = []
    parts = [part for part in wanted if part in table.column_names]
    for row in range(len(table)):
        seen = [table[part][row].values.is_valid().to_numpy(zero_copy_only=False) for part in parts]
        counts.append(int(np.any(seen, axis=0).sum()) if seen else 0)
    return counts


def _repaired(table: pa.Table) -> list[int]:
    counts = [0] * len(table)
    for part, word in _WORDS.items():
        if f"{part}_handedness" in table.column_names:
            for row, words in enumerate(table[f"{part}_handedness"].to_pylist()):
                counts[row] += sum(said is not None and said != word for said in words or ())
    return counts
