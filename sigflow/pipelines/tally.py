"""What was done, small enough to send from every worker to the driver: counts by label."""

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigflow.topology import PARTS

COUNTS = ("clips", "failed", "frames", "found", "hands", "repaired")
TALLY_SCHEMA = pa.schema([("label", pa.string()), *((name, pa.int64()) for name in COUNTS)])
_WORDS = {"left_hand": "Left", "right_hand": "Right"}
_SHOWN = 40


def tally(clips: Sequence[pa.Table], failed: Sequence[pa.Table]) -> pa.Table:
    """`TALLY_SCHEMA`, one row per clip.

    `found`: frames in which any part was detected. `hands`: frames with a hand. `repaired`: hands given another side
    than MediaPipe's word for them.
    """
    rows = [
        {
            "label": label,
            "clips": 1,
            "failed": 0,
            "frames": frames,
            "found": found,
            "hands": hands,
            "repaired": repaired,
        }
        for table in clips
        for label, frames, found, hands, repaired in zip(
            table["label"].to_pylist(),
            table["num_frames"].to_pylist(),
            _found(table, PARTS),
            _found(table, _WORDS),
            _repaired(table),
            strict=True,
        )
    ]
    count = sum(map(len, failed))
    if count:
        rows.append({"label": None, "clips": 0, "failed": count, "frames": 0, "found": 0, "hands": 0, "repaired": 0})
    return pa.Table.from_pylist(rows, schema=TALLY_SCHEMA)


def total(tallies: pa.Table) -> dict[str, int]:
    """The sum of each count."""
    return {name: pc.sum(tallies[name]).as_py() or 0 for name in COUNTS}


def print_by_label(tallies: pa.Table) -> None:
    """A table on stderr, by label: clips, share of frames with a detection and with a hand, median length."""
    labelled = tallies.filter(pc.greater(tallies["clips"], 0))
    names = [name or "(none)" for name in labelled["label"].to_pylist()]
    lengths, found, hands = (labelled[name].to_numpy() for name in ("frames", "found", "hands"))
    labels = sorted(set(names))
    width = max((len(label) for label in labels), default=5)
    print(f"{'label':{width}}  clips   found   hands  median frames", file=sys.stderr)
    for label in labels[:_SHOWN]:
        here = np.array([name == label for name in names])
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
