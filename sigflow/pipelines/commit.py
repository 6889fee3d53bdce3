"""How rows reach a data set: whole files under names that are hashes of their clip ids, and never a clip twice.

    landmarks/<hash>.parquet     clips, the Parquet contract
    quarantine/<hash>.parquet    clips that could not be used, with the reason

A block of clips has one name in both folders, whichever worker commits it and however often. A clip is done when its
row is in a committed file; to do it again, its old row is removed first, so that a kill at any moment leaves it undone.
"""

import hashlib
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR, QUARANTINE_SCHEMA
from sigflow.storage import Location

_STATE = ["clip_id", "source_bytes", "source_modified_ms", "extractor"]
STATE_SCHEMA = pa.schema(
    [*(QUARANTINE_SCHEMA.field(name) for name in _STATE), ("failed", pa.bool_()), ("file", pa.string())]
)


def commit_block(out: Location, clip_ids: Sequence[str], clips: Sequence[pa.Table], failed: Sequence[pa.Table]) -> None:
    """Write a block's rows; `clips` and `failed` together are the block, in any order."""
    name = hashlib.sha256("\n".join(sorted(clip_ids)).encode()).hexdigest()[:20] + ".parquet"
    for folder, tables in ((LANDMARKS_DIR, clips), (QUARANTINE_DIR, failed)):
        place = out / folder / name
        if tables:
            place.write_parquet(pa.concat_tables(tables, promote_options="default").sort_by("clip_id"))
        else:
            place.delete()  # an earlier try of this block may have ended otherwise


def read_state(out: Location) -> pa.Table:
    """`STATE_SCHEMA`: what every clip of the data set was made from, whether it failed, and the file that holds it."""
    tables = []
    for folder in (LANDMARKS_DIR, QUARANTINE_DIR):
        for file in (out / folder).files(".parquet"):
            table = file.read_parquet(_STATE)
            table = table.append_column("failed", pa.array([folder == QUARANTINE_DIR] * len(table), pa.bool_()))
            table = table.append_column("file", pa.array([file.uri] * len(table), pa.string()))
            tables.append(table.cast(STATE_SCHEMA))
    return pa.concat_tables(tables) if tables else STATE_SCHEMA.empty_table()


def remove_rows(state: pa.Table) -> None:
    """Remove these clips (rows of `read_state`) from their files."""
    for file in pc.unique(state["file"]).to_pylist():
        place = Location(file)
        gone = state.filter(pc.equal(state["file"], file))["clip_id"]
        table = place.read_parquet()
        kept = table.filter(pc.invert(pc.is_in(table["clip_id"], gone.combine_chunks())))
        if len(kept):
            place.write_parquet(kept)
        else:
            place.delete()
