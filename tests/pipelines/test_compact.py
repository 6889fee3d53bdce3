"""If these fail, a data set loses clips, or has some twice, when its many small files become few large ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigflow.data.clips import load_clips
from sigflow.errors import UserError
from sigflow.pipelines.commit import commit_block, read_state, remove_rows
from sigflow.pipelines.compact import merge, plan
from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR, QUARANTINE_SCHEMA
from sigflow.storage import Location, locate

PARTS = ("left_hand", "right_hand")
LARGE = 1 << 20


class Killed(BaseException):
    """The end of the process, as far as the code can tell."""


@pytest.fixture
def scattered(gesture_landmarks: Location, tmp_path: Path) -> Location:
    """60 clips in files of seven, and three that failed, each in a file of its own."""
    table = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    data = locate(tmp_path / "data")
    for start in range(0, len(table), 7):
        rows = table.slice(start, 7)
        commit_block(data, rows["clip_id"].to_pylist(), [rows], [])
    for name in ("x", "y", "z"):
        commit_block(data, [name], [], [pa.Table.from_pylist([{"clip_id": name}], schema=QUARANTINE_SCHEMA)])
    return data


def compact_here(data: Location, size: int = LARGE) -> None:
    """What the job does, in this process."""
    for place in (data / LANDMARKS_DIR, data / QUARANTINE_DIR):
        place.tidy()
        for group in plan(place.listing(".parquet"), size):
            merge(place, group)


def rows(data: Location) -> list[dict[str, Any]]:
    """Everything that readers see."""
    files = (data / LANDMARKS_DIR).files(".parquet")
    return pa.concat_tables([file.read_parquet() for file in files]).sort_by("clip_id").to_pylist()


def names(data: Location) -> list[str]:
    return sorted(row["clip_id"] for row in read_state(data).to_pylist())


def on_disk(data: Location) -> set[str]:
    return {path.name for path in Path(data.uri).rglob("*") if path.is_file()}


def test_every_row_stays_as_it_was_and_readers_read_as_before(scattered: Location) -> None:
    before, fingerprint, ids = rows(scattered), load_clips(scattered, PARTS).fingerprint, names(scattered)
    compact_here(scattered)
    assert len(on_disk(scattered)) == 2
    assert rows(scattered) == before
    assert names(scattered) == ids
    assert load_clips(scattered, PARTS).fingerprint == fingerprint
    (file,) = (scattered / LANDMARKS_DIR).files(".parquet")
    column = pq.read_metadata(file.uri).row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_large_files_stay_and_new_small_ones_are_merged_later(scattered: Location) -> None:
    sizes = [stored.bytes for stored in (scattered / LANDMARKS_DIR).listing(".parquet")]
    compact_here(scattered, 3 * max(sizes))
    there = on_disk(scattered)
    assert 2 < len(there) < len(sizes)
    compact_here(scattered, max(stored.bytes for stored in (scattered / LANDMARKS_DIR).listing(".parquet")))
    assert on_disk(scattered) <= there | on_disk(scattered)
    assert len(names(scattered)) == len(set(names(scattered))) == 63


def test_files_of_other_columns_are_never_mixed(scattered: Location) -> None:
    file = (scattered / LANDMARKS_DIR).files(".parquet")[0]
    file.write_parquet(file.read_parquet().drop_columns(["left_hand_score"]))
    compact_here(scattered)
    assert len((scattered / LANDMARKS_DIR).files(".parquet")) == 2


def dying(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Callable[[], int]:
    """The process ends before or after its `at`-th write or deletion; gives how many there were."""
    done = 0

    def patched(real: Callable[..., None]) -> Callable[..., None]:
        def act(self: Location, *arguments: Any) -> None:
            nonlocal done
            done += 1
            if done == at and not after:
                raise Killed
            real(self, *arguments)
            if done == at:
                raise Killed

        return act

    for name in ("write_bytes", "delete"):
        monkeypatch.setattr(Location, name, patched(getattr(Location, name)))
    return lambda: done


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_nothing_is_lost_and_nothing_there_twice(
    scattered: Location, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    before = names(scattered)
    at, files = 0, on_disk(scattered)
    while True:
        at += 1
        with monkeypatch.context() as patch:
            count = dying(patch, at, after=after)
            try:
                compact_here(scattered)
            except Killed:
                pass
            else:
                break
        assert count() == at
        assert names(scattered) == before, at
        assert [row["clip_id"] for row in rows(scattered)] == before[:-3], at
    assert at > 3, "each try ended a step later, until nothing was left to do"
    assert len(on_disk(scattered)) == 2 < len(files)


def test_one_that_was_killed_is_taken_up_where_it_was(scattered: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(scattered)
    with monkeypatch.context() as patch:
        dying(patch, 4, after=True)  # the note, the new file, two of the old ones
        with pytest.raises(Killed):
            compact_here(scattered)
    (new,) = (scattered / LANDMARKS_DIR).listing(".parquet")
    compact_here(scattered)
    assert (scattered / LANDMARKS_DIR).listing(".parquet") == [new], "written once"
    assert rows(scattered) == before
    assert not [name for name in on_disk(scattered) if name.startswith(".")]


def test_what_is_extracted_again_after_a_kill_does_not_come_back(
    scattered: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dying(patch, 2, after=True)  # the large file is there, and all that it replaced
        with pytest.raises(Killed):
            compact_here(scattered)
    state = read_state(scattered)
    remove_rows(state.filter(pa.array([not failed for failed in state["failed"].to_pylist()])))
    assert names(scattered) == ["x", "y", "z"]
    compact_here(scattered)
    assert names(scattered) == ["x", "y", "z"]


def test_a_file_that_is_written_while_it_is_merged_stops_that(scattered: Location) -> None:
    place, before = scattered / LANDMARKS_DIR, rows(scattered)
    (group,) = plan(place.listing(".parquet"), LARGE)
    changed = group[0].location
    changed.write_parquet(changed.read_parquet().slice(1))
    with pytest.raises(UserError, match="was changed"):
        merge(place, group)
    assert rows(scattered) == [row for row in before if row["clip_id"] in {r["clip_id"] for r in rows(scattered)}]
    assert len(rows(scattered)) == len(before) - 1
