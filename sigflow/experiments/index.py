"""The log itself: `index.parquet` beside the runs, a row for each run that was finished there.

Object storage cannot append, and runs that end together would overwrite each other's rows. So each run writes a file of
its own, `index/<hash of name and key>.json`, and then makes `index.parquet` anew from all of these, again and again
until none has come in between: whoever writes last has seen all rows. What a killed run left undone, the next one
mends. A run that is resumed replaces its row; one whose directory was deleted stays in the log.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pyarrow as pa

from sigflow.errors import UserError
from sigflow.experiments.row import SCHEMA
from sigflow.storage import Location

INDEX = "index.parquet"
_ROWS = "index"
_AT_ONCE = 16  # reads from object storage wait for the network


def add_row(folder: Location, row: dict[str, Any]) -> None:
    """Put a run's row into the log of `folder`.

    Raises:
        UserError: `folder` has an index.parquet that is something else, which is left alone.
    """
    _refuse_foreign(folder)
    name = hashlib.sha256(f"{row['run']}/{row['key']}".encode()).hexdigest()[:16]
    file = folder / _ROWS / f"{name}.json"
    if file.exists() and (before := _read(file))["finished"] == row["finished"]:
        row = row | {"seconds": before["seconds"]}  # only looked at again: training took what it took
    file.write_text(json.dumps(row, default=datetime.isoformat, indent=1))
    written = None
    while written != (there := (folder / _ROWS).listing(".json")):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            rows = list(pool.map(lambda stored: _read(stored.location), there))
        (folder / INDEX).write_parquet(pa.Table.from_pylist(rows, SCHEMA).sort_by("finished"))
        written = there


def read_index(folder: Location) -> list[dict[str, Any]]:
    """The rows of all runs, in the order in which they ended; times in UTC.

    Raises:
        UserError: no log is there.
    """
    if not (folder / INDEX).exists():
        raise UserError(f"{folder} holds no {INDEX}; give the folder above the --out of jobs/train.py")
    _refuse_foreign(folder)
    table = (folder / INDEX).read_parquet()
    lacking = dict.fromkeys(name for name in SCHEMA.names if name not in table.schema.names)
    rows: list[dict[str, Any]] = table.to_pylist()
    return [lacking | row for row in rows]


def find_run(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The row of the run of that name, the latest where there were several.

    Raises:
        UserError: there is none.
    """
    found = [row for row in rows if row["run"] == name]
    if not found:
        raise UserError(f"no run '{name}' in the log; it has {', '.join(dict.fromkeys(row['run'] for row in rows))}")
    return found[-1]


def _read(file: Location) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(file.read_bytes())
        return row | {name: datetime.fromisoformat(row[name]) for name in ("started", "finished")}
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{file} is damaged; delete it") from error


def _refuse_foreign(folder: Location) -> None:
    try:
        ours = not (folder / INDEX).exists() or {"run", "key", "finished"} <= set((folder / INDEX).schema().names)
    except pa.ArrowInvalid:
        ours = False
    if not ours:
        raise UserError(f"{folder / INDEX} is not a log of runs; move it away")
