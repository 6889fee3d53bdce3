"""If these fail, a crash or a second reader meets half a file, files are far larger, or reading one part reads all."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigflow import storage
from sigflow.errors import UserError
from sigflow.schema import encode_frames, landmark_schema
from sigflow.storage import TEMPORARY, Location, is_unreachable, locate


def landmarks(clips: int = 40) -> pa.Table:
    """Hands and faces that move smoothly, as real ones do."""
    rng = np.random.default_rng(0)
    schema = landmark_schema(("left_hand", "right_hand", "face"))
    arrays = []
    for field in schema:
        kind = field.type
        if pa.types.is_list(kind) and pa.types.is_fixed_size_list(kind.value_type):
            steps = rng.normal(0, 0.002, (clips, 20, kind.value_type.list_size))
            paths = (0.5 + steps.cumsum(1)).astype(np.float32)
            arrays.append(encode_frames(list(paths), field))
        elif field.name == "clip_id":
            arrays.append(pa.array([f"ada/wave/{number}.mp4" for number in range(clips)], kind))
        elif field.name == "num_frames":
            arrays.append(pa.array([20] * clips, kind))
        elif field.name == "time_ms":
            arrays.append(encode_frames([np.arange(20) * 40.0] * clips, field))
        elif field.name == "label":
            arrays.append(pa.array(["wave"] * clips, kind))
        else:
            arrays.append(pa.nulls(clips, kind))
    return pa.table(arrays, schema=schema)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return landmarks()


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    return locate(tmp_path)


def test_a_reader_sees_the_old_file_or_the_new_one_never_a_part(folder: Location) -> None:
    file = folder / "state.json"
    versions = [bytes([number]) * (4 << 20) for number in (1, 2)]
    file.write_bytes(versions[0])
    done = threading.Event()

    def write() -> None:
        for number in range(20):
            file.write_bytes(versions[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while not done.is_set():
        assert file.read_bytes() in versions
        reads += 1
    writer.join()
    assert reads > 1


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(folder: Location, table: pa.Table) -> None:
    file = folder / "clips.parquet"
    file.write_parquet(table)
    before = file.read_bytes()
    unwritable = pa.table({"x": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(pa.ArrowNotImplementedError):
        file.write_parquet(unwritable)
    assert file.read_bytes() == before
    assert [path.name for path in Path(folder.uri).iterdir()] == ["clips.parquet"]


def test_what_a_killed_writer_left_is_not_listed(folder: Location, table: pa.Table) -> None:
    (folder / "a.parquet").write_parquet(table)
    (Path(folder.uri) / f"{TEMPORARY}0123-b.parquet").write_bytes(b"PAR1 half")
    assert folder.files(".parquet") == [folder / "a.parquet"]
    assert folder.files(recursive=True) == [folder / "a.parquet"]


def test_landmarks_are_stored_small(folder: Location, table: pa.Table) -> None:
    file = folder / "clips.parquet"
    file.write_parquet(table)
    group = pq.ParquetFile(file.uri).metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    split = {path for path, column in columns.items() if "BYTE_STREAM_SPLIT" in column.encodings}
    floats = {path for path, column in columns.items() if column.physical_type in ("FLOAT", "DOUBLE")}
    assert split == floats
    assert "left_hand.list.element.list.element" in split
    assert "RLE_DICTIONARY" in columns["label"].encodings
    plain = pa.BufferOutputStream()
    pq.write_table(table, plain)
    assert file.size() < 0.8 * plain.getvalue().size


def test_what_is_read_is_what_was_written(folder: Location, table: pa.Table) -> None:
    file = folder / "clips.parquet"
    file.write_parquet(table)
    assert file.read_parquet().equals(table)
    assert file.schema().equals(table.schema)


def test_reading_hands_does_not_read_faces(folder: Location, table: pa.Table) -> None:
    file = folder / "clips.parquet"
    file.write_parquet(table)
    group = pq.ParquetFile(file.uri).metadata.row_group(0)
    faces = next(column for column in map(group.column, range(group.num_columns)) if "face." in column.path_in_schema)
    # With the faces' bytes destroyed, only a reader that leaves them alone still gets its hands.
    data = bytearray(file.read_bytes())
    begin = faces.data_page_offset
    data[begin : begin + faces.total_compressed_size] = b"\xff" * faces.total_compressed_size
    file.write_bytes(bytes(data))
    hands = file.read_parquet(["clip_id", "left_hand"])
    assert hands.equals(table.select(["clip_id", "left_hand"]))
    with pytest.raises(OSError, match=r".+"):
        file.read_parquet(["face"])


@pytest.mark.parametrize("uri", ["http://host/x", "ftp://host/x", "s4://bucket/x", "://x", "s3://", "s3:///key"])
def test_an_address_that_cannot_be_opened_is_refused_with_a_hint(uri: str) -> None:
    with pytest.raises(UserError, match=r"use a local path, s3://bucket/key or gs://bucket/key"):
        locate(uri)


def test_local_paths_are_made_absolute_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert locate("runs/first/").uri == str(tmp_path / "runs/first")
    assert locate("~/runs").uri == "/home/ada/runs"
    assert locate(tmp_path / "x").is_local


def test_locations_are_named_as_users_name_them(folder: Location) -> None:
    assert str(folder / "a" / "b.txt") == f"{folder.uri}/a/b.txt"
    assert (folder / "a").name == "a"
    assert Location("s3://bucket/key").name == "key"
    assert not Location("s3://bucket/key").is_local


def test_files_are_listed_by_name_below_a_folder(folder: Location) -> None:
    for name in ("b.txt", "a.txt", "deep/c.txt", "d.csv"):
        (folder / name).write_text(name)
    assert folder.files(".txt") == [folder / "a.txt", folder / "b.txt"]
    assert folder.files(".txt", recursive=True) == [folder / "a.txt", folder / "b.txt", folder / "deep" / "c.txt"]
    assert (folder / "nowhere").files() == []


def test_names_with_signs_of_uris_are_only_names(folder: Location) -> None:
    file = folder / "ä b" / "100% #1?.mp4"
    file.write_text("x")
    assert folder.files(".mp4", recursive=True) == [file]
    assert file.read_bytes() == b"x"


def test_what_is_there_is_told_from_what_is_not(folder: Location) -> None:
    file = folder / "new" / "a.txt"
    assert not file.exists()
    file.write_text("grüße")
    assert file.exists()
    assert not file.is_folder()
    assert (folder / "new").is_folder()
    assert file.size() == len("grüße".encode())
    with file.open() as stream:
        stream.seek(2)
        assert stream.read().decode() == "üße"


def test_reading_what_is_not_there_is_an_os_error(folder: Location) -> None:
    with pytest.raises(FileNotFoundError):
        (folder / "nothing").read_bytes()
    with pytest.raises(FileNotFoundError):
        (folder / "nothing").open()


def test_storage_that_is_away_is_told_from_a_file_that_is_not_there(
    folder: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is worth another try, later; the second is a mistake."""
    monkeypatch.setattr(storage, "_ATTEMPTS", 1)
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    with pytest.raises(OSError, match="connect") as away:
        (locate("s3://bucket-that-is-away") / "x").read_bytes()
    assert is_unreachable(away.value)
    with pytest.raises(FileNotFoundError) as lacking:
        (folder / "x").read_bytes()
    assert not is_unreachable(lacking.value)
