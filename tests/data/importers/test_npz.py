"""If these fail, rows of an npz get another's label, its layout is misread, or a hostile file takes all memory."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigflow.data.importers import ImportedClip, ImportFailure, ImportOptions, archive, npz
from sigflow.errors import UserError
from sigflow.storage import locate

OPTIONS = ImportOptions()


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def save(folder: Path, **arrays: Any) -> Path:
    file = folder / "data.npz"
    np.savez_compressed(file, **{"y": np.arange(len(arrays["x"])), **arrays}, allow_pickle=True)
    return file


def results(source: Path, options: ImportOptions = OPTIONS) -> list[ImportedClip | ImportFailure]:
    return [result for item in npz.plan(locate(source), options) for result in npz.read(item, options)]


def clips(source: Path, options: ImportOptions = OPTIONS) -> list[ImportedClip]:
    found = results(source, options)
    assert all(isinstance(result, ImportedClip) for result in found), found
    return [result for result in found if isinstance(result, ImportedClip)]


def column(source: Path, name: str, options: ImportOptions = OPTIONS) -> list[Any]:
    return [clip.columns[name] for clip in clips(source, options)]


def failures(source: Path) -> list[ImportFailure]:
    found = results(source)
    assert all(isinstance(result, ImportFailure) for result in found), found
    return [result for result in found if isinstance(result, ImportFailure)]


@pytest.mark.parametrize("size", [1662, 258])
def test_vectors_are_read_as_mp_data_in_half_precision_too(tmp_path: Path, size: int) -> None:
    x = numbers(3, 4, size).astype(np.float16)
    x[1, 2, -63:] = 0
    file = save(tmp_path, x=x, y=np.array(["a", "b", "c"]))
    assert column(file, "label") == ["a", "b", "c"]
    assert column(file, "clip_id") == ["data.npz#000000", "data.npz#000001", "data.npz#000002"]
    middle = clips(file)[1].columns
    np.testing.assert_array_equal(middle["left_hand"], x[1, :, -126:-63].astype(np.float32))
    assert np.isnan(middle["right_hand"]).all(axis=1).tolist() == [False, False, True, False]
    np.testing.assert_array_equal(middle["pose_visibility"], x[1, :, 3:132:4].astype(np.float32))
    assert ("face" in middle) == (size == 1662)


@pytest.mark.parametrize(
    ("points", "parts"),
    [
        (21, {"right_hand": 0}),
        (33, {"pose": 0}),
        (42, {"left_hand": 0, "right_hand": 21}),
        (75, {"pose": 0, "left_hand": 33, "right_hand": 54}),
        (468, {"face": 0}),
        (478, {"face": 0}),
        (543, {"face": 0, "left_hand": 468, "pose": 489, "right_hand": 522}),
    ],
)
def test_points_are_told_by_their_number(tmp_path: Path, points: int, parts: dict[str, int]) -> None:
    x = numbers(1, 2, points, 3)
    (clip,) = clips(save(tmp_path, x=x))
    assert {name for name in clip.columns if name in ("left_hand", "right_hand", "pose", "face", "raw")} == {*parts}
    for part, first in parts.items():
        np.testing.assert_array_equal(clip.columns[part][:, :3], x[0, :, first])
    assert f'"points": {points}' in clip.columns["extractor"]


@pytest.mark.parametrize("shape", [(2, 5, 63), (2, 5, 21, 3, 1), (2, 5, 7, 3), (2, 5, 12)])
def test_other_numbers_are_raw_channels_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = numbers(*shape[:4])
    x[0, 1] = 0
    x[0, 2] = np.nan
    if len(shape) == 5:
        x = x[..., None]
        assert "shape (2, 5, 21, 3, 1)" in failures(save(tmp_path, x=x))[0].error
        return
    file = save(tmp_path, x=x)
    np.testing.assert_array_equal(column(file, "raw")[0], x[0].reshape(5, -1))
    assert clips(file)[0].frames_found == 4


def test_lengths_cut_clips_and_an_impossible_one_fails_its_clip(tmp_path: Path) -> None:
    file = save(tmp_path, x=numbers(4, 5, 10), lengths=np.array([5, 2, 0, 6]))
    first, second, third, fourth = results(file)
    assert isinstance(first, ImportedClip)
    assert isinstance(second, ImportedClip)
    assert (first.num_frames, second.num_frames, len(second.columns["time_ms"])) == (5, 2, 2)
    assert isinstance(third, ImportFailure)
    assert (third.clip_id, third.stage) == ("data.npz#000002", "shape")
    assert isinstance(fourth, ImportFailure)


def test_an_infinite_number_fails_its_clip(tmp_path: Path) -> None:
    x = numbers(2, 3, 10)
    x[1, 0, 0] = np.inf
    good, bad = results(save(tmp_path, x=x))
    assert isinstance(good, ImportedClip)
    assert isinstance(bad, ImportFailure)
    assert "infinite" in bad.error


def test_subjects_come_from_the_array_that_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, x=numbers(2, 3, 10), subject=np.array(["ada", ""]), block=np.array([7, 8], np.int16))
    assert column(file, "subject") == ["ada", None]
    assert column(file, "subject", ImportOptions(subject_key="block")) == ["7", "8"]
    assert column(file, "subject", ImportOptions(subject="cy")) == ["cy", "cy"]
    with pytest.raises(UserError, match=r"no array group .*it has y, x, subject, block"):
        npz.plan(locate(file), ImportOptions(subject_key="group"))


def test_items_share_a_file_and_lose_or_repeat_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "_ITEM_CLIPS", 3)
    x = numbers(8, 2, 10)
    for folder, names in ((tmp_path / "a", ["u", "v"]), (tmp_path / "b", ["w"])):
        folder.mkdir()
        save(folder, x=x, y=np.array((names * 8)[:8]))
    assert [(item.name, item.first, item.last) for item in npz.plan(locate(tmp_path), OPTIONS)] == [
        (f"{folder}/data.npz", *rows) for folder in "ab" for rows in ((0, 3), (3, 6), (6, 8))
    ]
    np.testing.assert_array_equal(column(tmp_path, "raw"), [*x, *x])
    assert column(tmp_path, "label") == ["u", "v"] * 4 + ["w"] * 8


class Explosion:
    """Unpickling it leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["x", "y", "lengths", "subject"])
def test_pickled_arrays_are_never_loaded(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "exploded"
    file = save(tmp_path, **{"x": numbers(2, 3, 10), name: np.array([Explosion(marker), 1], dtype=object)})
    assert all("pickled objects" in found.error for found in failures(file))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"x": numbers(2, 10)}, r"x holds float32 of shape \(2, 10\)"),
        ({"x": numbers(0, 5, 10)}, r"shape \(0, 5, 10\)"),
        ({"x": numbers(2, 0, 10)}, r"shape \(2, 0, 10\)"),
        ({"x": numbers(2, 5, 10).astype(complex)}, "complex128"),
        ({"x": np.asfortranarray(numbers(2, 5, 10))}, "Fortran order"),
        ({"x": numbers(2, 5, 10), "y": np.zeros((2, 3))}, r"y holds float64 of shape \(2, 3\), not 2 texts"),
        ({"x": numbers(2, 5, 10), "y": np.zeros(3, int)}, r"y holds int64 of shape \(3,\)"),
        ({"x": numbers(2, 5, 10), "lengths": np.array(["5", "5"])}, "lengths holds <U1"),
        ({"x": numbers(2, 5, 10), "subject": np.zeros(1, int)}, "subject holds int64"),
    ],
)
def test_what_is_not_the_layout_fails_with_the_reason(tmp_path: Path, arrays: dict[str, Any], error: str) -> None:
    found = failures(save(tmp_path, **arrays))
    assert all(failure.stage == "shape" and re.search(error, failure.error) for failure in found), found


def test_a_file_without_y_fails_each_clip_and_names_what_it_has(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=numbers(2, 5, 10), labels=np.zeros(2))
    assert [failure.error for failure in failures(tmp_path)] == ["it has no array y; it has x, labels"] * 2


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.9, 0.999])
def test_a_truncated_file_fails_alone(tmp_path: Path, keep: float) -> None:
    file = save(tmp_path, x=numbers(20, 5, 10))
    whole = file.read_bytes()
    (tmp_path / "good.npz").write_bytes(whole)
    file.write_bytes(whole[: int(keep * len(whole))])
    bad, *good = results(tmp_path)
    assert isinstance(bad, ImportFailure)
    assert (bad.clip_id, bad.stage) == ("data.npz", "read")
    assert len(good) == 20


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, x=numbers(20, 5, 10), y=np.arange(20))
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    assert {"BadZipFile" in failure.error for failure in failures(file)} == {True}


def npy(shape: tuple[int, ...], data: bytes) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


@pytest.mark.parametrize(
    ("shape", "error"),
    [((10**9, 30, 1662), "unpacks to"), ((10**30, 1, 1), "unpacks to"), ((1, 10**9, 10), "unpacks to"),
     ((4, 30, 1662), "promises 797760 bytes of data"), ((-1, 30, 1662), "")],
)  # fmt: skip
def test_a_header_that_promises_more_than_there_is_costs_nothing(
    tmp_path: Path, shape: tuple[int, ...], error: str
) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as out:
        out.writestr("x.npy", npy(shape, bytes(1000)))
    (found,) = failures(tmp_path)
    assert found.stage in ("read", "shape")
    assert "promises" in found.error or error in found.error


@pytest.mark.parametrize("cut", [b"(2,", b"'shape': (", b"{'descr': ("])
def test_a_header_that_is_no_literal_fails_its_file(tmp_path: Path, cut: bytes) -> None:
    whole = npy((2, 3, 4), bytes(96))
    start = whole.index(b"{")
    header = (b"{'descr': '<f4', 'fortran_order': False, " + cut).ljust(118)
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as out:
        out.writestr("x.npy", whole[:start] + header + whole[start + 118 :])
    (found,) = failures(tmp_path)
    assert (found.clip_id, found.stage) == ("data.npz", "read")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_X_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "MAX_COLUMN_BYTES", 1 << 10)
    (found,) = failures(save(tmp_path, x=np.zeros((100, 100, 100), np.float32)))
    assert "unpacks to 4000000 bytes; 1048576 in all" in found.error
    found, _ = failures(save(tmp_path, x=numbers(2, 3, 4), y=np.array(["a" * 1000, "b"])))
    assert "y unpacks to 8000 bytes; 1024 is the most" in found.error
    monkeypatch.setattr(archive, "MAX_CLIP_BYTES", 1 << 10)
    (found,) = failures(save(tmp_path, x=numbers(2, 10, 100)))
    assert "1024 per clip" in found.error
