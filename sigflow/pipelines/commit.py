"""How rows reach a data set: whole files under names that are hashes of their clip ids, and never a clip twice.

    landmarks/<hash>.parquet     clips, the Parquet contract
    quarantine/<hash>.parquet    clips that could not be used, with the reason

A block of clips has one name in both folders, whichever worker commits it and however often. A clip is done when its
row is in a committed file; to do it again, its old row is removed first, so that a kill at any moment leaves it undone.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR, QUARANTINE_SCHEMA
from sigflow.storage import READERS, Location

_STATE = ["clip_id", "source_bytes", "source_modified_ms", "extractor"]
_FOLDERS = (LANDMARKS_DIR, QUARANTINE_DIR)
_FEW = pa.dictionary(pa.int32(), pa.string())  # many clips have the same; written out it would be most of the table
STATE_SCHEMA = pa.schema(
    [
        *(QUARANTINE_SCHEMA.field(name) for name in _STATE[:-1]),
        ("extractor", _FEW),
        ("failed", pa.bool_()),
        ("file", _FEW),
    ]
)


def commit_block(out: Location, clip_ids: Sequence[str], clips: Sequence[pa.Table], failed: Sequence[pa.Table]) -> None:
    """Write a block's rows; `clips` and `failed` together are the block, in any order."""
    name = hashlib.sha256("\n".join(sorted(clip_ids)).encode()).hexdigest()[:20] + ".parquet"
    for folder, tables in zip(_FOLDERS, (clips, failed), strict=True):
        place = out / folder / name
        if tables:
            place.write_parquet(pa.concat_tables(tables, promote_options="default").sort_by("clip_id"))
        else:
            place.delete()  # an earlier try of this block may have ended otherwise


def read_state(out: Location) -> pa.Table:
    """`STATE_SCHEMA`: what every clip of the data set was made from, whether it failed, and the file that holds it."""
    files = [(file, folder == QUARANTINE_DIR) for folder in _FOLDERS for file in (out / folder).files(".parquet")]
    with ThreadPoolExecutor(READERS) as readers:
        tables = list(readers.map(lambda each: _state_of(*each), files))
    return pa.concat_tables([STATE_SCHEMA.empty_table(), *tables]).unify_dictionaries().combine_chunks()


def _state_of(file: Location, failed: bool) -> pa.Table:
    table = file.read_parquet(_STATE)
    columns = {
        **{name: table[name] for name in _STATE[:-1]},
        "extractor": table["extractor"].dictionary_encode().cast(_FEW),
        "failed": pa.array([failed] * len(table), pa.bool_()),
        "file": pa.DictionaryArray.from_arrays(np.zeros(len(table), np.int32), [file.uri]),
    }
    return pa.table([columns[name] for name in STATE_SCHEMA.names], schema=STATE_SCHEMA)


def remove_rows(state: pa.Table) -> None:
    """Remove these clips (rows of `read_state`) from their files."""
    if not len(state):
        return
    for folder in {file.rsplit("/", 1)[0] for file in pc.unique(state["file"]).to_pylist()}:
        Location(folder).tidy()  # what is replaced there would come back with the end of what replaced it
    file_N = state["file"].combine_chunks()
    order_N = np.argsort(file_N.indices.to_numpy(), kind="stable")
    starts = np.flatnonzero(np.diff(file_N.indices.to_numpy()[order_N], prepend=-1))
    for rows in np.split(order_N, starts[1:]):
        place = Location(file_N[int(rows[0])].as_py())
        gone = state["clip_id"].take(pa.array(rows)).combine_chunks()
        table = place.read_parquet()
        kept = table.filter(pc.invert(pc.is_in(table["clip_id"], gone)))
        if len(kept):
            place.write_parquet(kept)
        else:
            place.delete()
