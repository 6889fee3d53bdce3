"""If these fail, sets that are too large for memory are other sets than they were, or cannot be read where they could.

`mapped` reads as if this machine had no memory.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from sigflow.data import spool
from sigflow.data.clips import Clips, load_clips
from sigflow.errors import UserError
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location
from sigflow.topology import INPUT_SHAPES
from tests.data.test_clips import HANDS, changed

Mapped = Callable[..., Clips]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Below which there are this user's spools."""
    monkeypatch.setenv("SIGFLOW_SPOOL", str(tmp_path / "spools"))
    return tmp_path / "spools"


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> Mapped:
    def load(data: Location, parts: Any = HANDS, **more: Any) -> Clips:
        with monkeypatch.context() as patch:
            patch.setattr(spool, "MEMORY_SHARE", 0.0)
            return load_clips(data, parts, **more)

    return load


@pytest.fixture(scope="session")
def table(gesture_landmarks: Location) -> pa.Table:
    return (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()


@pytest.fixture
def scattered(tmp_path: Path, table: pa.Table) -> Location:
    """The gestures in three files, in no order."""
    place = Location(str(tmp_path / "scattered"))
    for number in range(3):
        rows = [row for row in reversed(range(len(table))) if row % 3 == number]
        (place / LANDMARKS_DIR / f"{number}.parquet").write_parquet(table.take(rows))
    return place


def same(a: Clips, b: Clips) -> bool:
    return a.fingerprint == b.fingerprint and a.table.equals(b.table) and torch.equal(a.aspect_N, b.aspect_N)


def test_what_is_mapped_is_what_would_be_in_memory(gesture_landmarks: Location, mapped: Mapped) -> None:
    mine, theirs = mapped(gesture_landmarks), load_clips(gesture_landmarks, HANDS)
    assert (mine.spool is None, theirs.spool is None) == (False, True)
    assert same(mine, theirs)
    for a, b in zip(mine.batch([3, 59, 0]).flat(), theirs.batch([3, 59, 0]).flat(), strict=True):
        assert torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0))


def test_neither_order_nor_number_of_files_nor_how_many_clips_are_read_at_once_matter(
    scattered: Location, gesture_landmarks: Location, mapped: Mapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_clips(gesture_landmarks, HANDS)
    assert same(mapped(scattered), whole)
    monkeypatch.setattr("sigflow.data.source._AT_ONCE", 1)
    assert same(mapped(scattered), whole)


@pytest.mark.parametrize("rows", [[5], [59, 0, 7], [4, 4, 2]], ids=str)
def test_some_clips_of_a_large_set_are_mapped_too(gesture_landmarks: Location, mapped: Mapped, rows: list[int]) -> None:
    some = mapped(gesture_landmarks).select(rows)
    assert some.spool is not None
    assert same(some, load_clips(gesture_landmarks, HANDS).select(rows))
    alone = some.read_by(("left_hand",))
    assert same(alone, load_clips(gesture_landmarks, ("left_hand",)).select(rows))


def test_clips_whose_source_lacks_a_part_are_missing_there(tmp_path: Path, table: pa.Table, mapped: Mapped) -> None:
    frames = table["right_hand"].to_pylist()
    frames[7] = []
    place = Location(str(tmp_path / "lacking"))
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(changed(table, "right_hand", frames))
    mine = mapped(place)
    assert same(mine, load_clips(place, HANDS))
    row = mine.column("clip_id").index(table["clip_id"][7].as_py())
    assert mine.batch([row]).parts["right_hand"].isnan().all()


def test_channels_of_any_number_are_mapped(tmp_path: Path, table: pa.Table, mapped: Mapped) -> None:
    raw = pa.field("raw", pa.list_(pa.list_(pa.field("element", pa.float32(), nullable=False), 5)))
    values = [[[float(row)] * 5] * count for row, count in enumerate(table["num_frames"].to_pylist())]
    place = Location(str(tmp_path / "raw"))
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(table.append_column(raw, pa.array(values, raw.type)))
    mine = mapped(place, ("raw", "left_hand"))
    assert same(mine, load_clips(place, ("raw", "left_hand")))
    assert {part: points.shape[1:] for part, points in mine.parts.items()} == {
        "left_hand": INPUT_SHAPES["left_hand"], "raw": (5,)
    }  # fmt: skip


def test_a_large_set_is_refused_for_the_same_reasons(tmp_path: Path, table: pa.Table, mapped: Mapped) -> None:
    place = Location(str(tmp_path / "bad"))
    (place / LANDMARKS_DIR / "0.parquet").write_parquet(changed(table, "extractor", [*["old"] * 10, *["new"] * 50]))
    with pytest.raises(UserError, match="mixes rows of 2 extractors"):
        mapped(place)
    assert len(mapped(place, mixed=True)) == len(table)
    (place / LANDMARKS_DIR / "1.parquet").write_parquet(table.slice(0, 2))
    with pytest.raises(UserError, match=r"holds 2 clips twice"):
        mapped(place, mixed=True)


def test_another_machine_reads_the_files_for_itself(gesture_landmarks: Location, mapped: Mapped, root: Path) -> None:
    """And shares what it read with all that ask it for the same; it stays until it is swept."""
    clips = load_clips(gesture_landmarks, HANDS).select([8, 3, 30])
    first, second = (Clips.from_arrays(clips.outline()) for _ in range(2))
    assert first.spool is not None
    assert second.spool is not None
    assert first.spool.folder == second.spool.folder
    assert same(first, clips)
    first.close()
    second.close()
    assert len(list(root.glob("*/*"))) == 1
    spool.sweep()
    assert not list(root.glob("*/*"))
    assert same(second, clips)  # who still has them can read them


def test_files_that_were_changed_meanwhile_are_refused(scattered: Location) -> None:
    clips = load_clips(scattered, HANDS)
    outline = clips.outline()
    file = scattered / LANDMARKS_DIR / "1.parquet"
    (scattered / LANDMARKS_DIR / "new.parquet").write_parquet(file.read_parquet().slice(0, 0))
    Clips.from_arrays(outline).close()  # what has been added is not asked for
    spool.sweep()
    file.write_parquet(file.read_parquet().slice(1))
    with pytest.raises(UserError, match="was changed while it was read"):
        Clips.from_arrays(outline)


def test_a_machine_that_does_not_see_the_files_says_so(scattered: Location, tmp_path: Path) -> None:
    outline = load_clips(scattered, HANDS).outline()
    (tmp_path / "scattered").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"is not seen here.*s3:// or a shared folder"):
        Clips.from_arrays(outline)


def test_clips_that_are_in_no_file_cannot_be_read_elsewhere() -> None:
    made = Clips(pa.table({"clip_id": ["a"]}), torch.tensor([0, 2]), torch.zeros(2), torch.ones(1), {})
    with pytest.raises(UserError, match="are in no file"):
        made.outline()
