"""If these fail, clips get another's label, subject or time range, or are silently not extracted."""

import codecs
from pathlib import Path
from typing import Any

import pytest

from sigflow.errors import UserError
from sigflow.landmarks.manifest import MANIFEST_SCHEMA, read_manifest
from sigflow.storage import locate


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def csv(folder: Path, content: str | bytes) -> Path:
    path = folder / "clips.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    table = read_manifest(locate(path))
    assert table.schema.equals(MANIFEST_SCHEMA)
    return table.to_pylist()


def named(rows: list[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in rows]


def test_a_folder_of_labels_gives_labels(tmp_path: Path) -> None:
    rows = read(files(tmp_path, "wave/1.mp4", "wave/2.MOV", "point/1.webm", "notes.txt", "wave/.partial"))
    assert named(rows, "clip_id", "label", "subject") == [
        ("point/1.webm", "point", None),
        ("wave/1.mp4", "wave", None),
        ("wave/2.MOV", "wave", None),
    ]
    assert rows[0]["source"] == str(tmp_path / "point/1.webm")


def test_a_folder_of_subjects_gives_subjects_and_labels(tmp_path: Path) -> None:
    rows = read(files(tmp_path, "ada/wave/1.mp4", "bo/wave/1.mp4"))
    assert named(rows, "clip_id", "subject", "label") == [
        ("ada/wave/1.mp4", "ada", "wave"),
        ("bo/wave/1.mp4", "bo", "wave"),
    ]


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    assert named(read(files(tmp_path, "1.mp4")), "clip_id", "label", "subject") == [("1.mp4", None, None)]


def test_folders_of_unequal_depth_are_refused_rather_than_mislabelled(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="1 and 2 folders deep"):
        read(files(tmp_path, "wave/1.mp4", "ada/wave/1.mp4"))


def test_folders_too_deep_to_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="3 folders deep"):
        read(files(tmp_path, "day/ada/wave/1.mp4"))


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no video"):
        read(files(tmp_path, "wave/notes.txt"))


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        read(tmp_path / "nowhere")


def test_every_column_of_a_csv_is_read(tmp_path: Path) -> None:
    (row,) = read(
        csv(tmp_path, "split,end_s,start_s,subject,glosses,label,path\ntrain,2.5,1,ada,HELLO  YOU,hello,a b.mp4\n")
    )
    assert row == {
        "clip_id": "a b.mp4#1-2.5",
        "source": str(tmp_path / "a b.mp4"),
        "source_bytes": None,
        "source_modified_ms": None,
        "label": "hello",
        "glosses": ["HELLO", "YOU"],
        "subject": "ada",
        "split": "train",
        "start_s": 1.0,
        "end_s": 2.5,
    }


def test_only_the_path_is_needed_and_rows_come_sorted(tmp_path: Path) -> None:
    rows = read(csv(tmp_path, "path\nb.mp4\na.mp4\n"))
    assert named(rows, "clip_id", "label", "glosses", "start_s") == [
        ("a.mp4", None, None, None),
        ("b.mp4", None, None, None),
    ]


def test_absolute_paths_and_addresses_stay_as_they_are(tmp_path: Path) -> None:
    rows = read(csv(tmp_path, "path\n/videos/a.mp4\ns3://bucket/b.mp4\n"))
    assert named(rows, "source") == [("/videos/a.mp4",), ("s3://bucket/b.mp4",)]


def test_segments_of_one_video_are_clips_of_their_own(tmp_path: Path) -> None:
    rows = read(csv(tmp_path, "path,start_s,end_s\na.mp4,,1.5\na.mp4,1.5,\na.mp4,,\n"))
    assert named(rows, "clip_id") == [("a.mp4",), ("a.mp4#0-1.5",), ("a.mp4#1.5-",)]
    assert {row["source"] for row in rows} == {str(tmp_path / "a.mp4")}


def test_labels_that_look_like_numbers_or_nothing_stay_words(tmp_path: Path) -> None:
    rows = read(csv(tmp_path, "path,label\na.mp4,007\nb.mp4,NA\nc.mp4,null\nd.mp4,\n"))
    assert named(rows, "label") == [("007",), ("NA",), ("null",), (None,)]


@pytest.mark.parametrize(
    "content", ["path,label\na.mp4,wävé\n".encode(), b"path,label\r\na.mp4,w\xc3\xa4v\xc3\xa9\r\n"]
)
@pytest.mark.parametrize("start", [b"", codecs.BOM_UTF8])
def test_csv_files_of_spreadsheets_are_read(tmp_path: Path, content: bytes, start: bytes) -> None:
    assert named(read(csv(tmp_path, start + content)), "clip_id", "label") == [("a.mp4", "wävé")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a readable CSV"),
        ("path\n", "at least one row"),
        ("label\nwave\n", "a column 'path'"),
        ("path,label\n,wave\n", "filled in every row"),
        ("path,lable\na.mp4,wave\n", r"unknown columns \['lable'\]; known are path, label"),
        ("path;label\na.mp4;wave\n", "unknown columns"),
        ("path,label,label\na.mp4,wave,point\n", r"\['label'\] twice"),
        ("path,label\na.mp4\n", "not a readable CSV.*Expected 2 columns, got 1"),
        ("path,start_s\na.mp4,soon\n", "not a readable CSV"),
        ("path,label\na.mp4,wäve\n".encode("latin-1"), "not a readable CSV"),
        ("path,läbel\na.mp4,wave\n".encode("latin-1"), "not a readable CSV"),
        ("path,start_s,end_s\na.mp4,1,2\na.mp4,3,2\n", "line 3: start_s 3.0 and end_s 2.0"),
        ("path,start_s,end_s\na.mp4,2,2\n", "no time range"),
        ("path,start_s\na.mp4,-1\n", "no time range"),
        ("path,end_s\na.mp4,0\n", "no time range"),
        ("path,start_s\na.mp4,nan\n", "no time range"),
        ("path,start_s\na.mp4,inf\n", "no time range"),
        ("path\na.mp4\na.mp4\n", "a.mp4 twice"),
        ("path,start_s,end_s\na.mp4,1,2\na.mp4,1.0,2.00\n", "a.mp4#1-2 twice"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        read(csv(tmp_path, content))
    assert "\n" not in str(refused.value)
