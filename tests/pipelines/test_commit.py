"""If these fail, a data set holds a clip twice, or loses one, after a kill at the wrong moment."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sigflow.pipelines.commit import commit_block, read_state, remove_rows
from sigflow.schema import QUARANTINE_SCHEMA, landmark_schema
from sigflow.storage import locate

SCHEMA = landmark_schema(())


def clip(clip_id: str) -> pa.Table:
    row = dict.fromkeys(SCHEMA.names) | {"clip_id": clip_id, "num_frames": 1, "time_ms": [0.0], "extractor": "x"}
    return pa.Table.from_pylist([row], schema=SCHEMA)


def failed(clip_id: str) -> pa.Table:
    return pa.Table.from_pylist([{"clip_id": clip_id, "extractor": "x"}], schema=QUARANTINE_SCHEMA)


def state(folder: Path) -> list[tuple[str, bool]]:
    rows = read_state(locate(folder)).to_pylist()
    return sorted((row["clip_id"], row["failed"]) for row in rows)


def test_a_block_done_again_in_another_order_changes_nothing(tmp_path: Path) -> None:
    out = locate(tmp_path)
    commit_block(out, ["a", "b", "c"], [clip("a"), clip("c")], [failed("b")])
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    commit_block(out, ["c", "b", "a"], [clip("c"), clip("a")], [failed("b")])
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == before
    assert state(tmp_path) == [("a", False), ("b", True), ("c", False)]


def test_a_block_that_ends_otherwise_the_second_time_leaves_no_trace_of_the_first(tmp_path: Path) -> None:
    out = locate(tmp_path)
    commit_block(out, ["a", "b"], [clip("a")], [failed("b")])
    commit_block(out, ["a", "b"], [clip("a"), clip("b")], [])
    assert state(tmp_path) == [("a", False), ("b", False)]
    commit_block(out, ["a", "b"], [], [failed("a"), failed("b")])
    assert state(tmp_path) == [("a", True), ("b", True)]


def test_removed_rows_are_gone_and_the_others_stay(tmp_path: Path) -> None:
    out = locate(tmp_path)
    commit_block(out, ["a", "b", "c"], [clip("a"), clip("b")], [failed("c")])
    rows = read_state(out)
    remove_rows(rows.filter(pa.array([name in ("a", "c") for name in rows["clip_id"].to_pylist()])))
    assert state(tmp_path) == [("b", False)]
    assert not list((tmp_path / "quarantine").iterdir())


def test_a_new_data_set_is_empty(tmp_path: Path) -> None:
    assert state(tmp_path / "nowhere") == []


def test_files_keep_the_contracts_schema(tmp_path: Path) -> None:
    commit_block(locate(tmp_path), ["a"], [clip("a")], [])
    (file,) = (tmp_path / "landmarks").iterdir()
    assert pq.read_schema(file).equals(SCHEMA)
