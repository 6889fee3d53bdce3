"""If these fail, zeros are taken for hands, frames are out of order, or a broken sequence is imported or lost."""

import re
from pathlib import Path

import numpy as np
import pytest

from sigflow.data.importers import ImportedClip, ImportFailure, ImportOptions, mp_data
from sigflow.errors import UserError
from sigflow.storage import locate

OPTIONS = ImportOptions()


def vector(size: int = 1662, value: float = 0.5) -> np.ndarray:
    return np.linspace(value, value + 0.1, size)


def write(folder: Path, frames: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for name, values in frames.items():
        np.save(folder / name, values)
    return folder


def numbered(count: int = 3, size: int = 1662) -> dict[str, np.ndarray]:
    return {f"{number}.npy": vector(size, number + 1.0) for number in range(count)}


def results(source: Path, options: ImportOptions = OPTIONS) -> list[ImportedClip | ImportFailure]:
    return [result for item in mp_data.plan(locate(source), options) for result in mp_data.read(item, options)]


def clip(source: Path, options: ImportOptions = OPTIONS) -> ImportedClip:
    (result,) = results(source, options)
    assert isinstance(result, ImportedClip), result
    return result


def failure(source: Path) -> ImportFailure:
    (result,) = results(source)
    assert isinstance(result, ImportFailure)
    return result


def test_each_part_comes_from_its_own_numbers(tmp_path: Path) -> None:
    values = np.arange(1.0, 1663.0)
    write(tmp_path / "hello/0", {"0.npy": values})
    columns = clip(tmp_path).columns
    pose = values[:132].reshape(33, 4)
    np.testing.assert_array_equal(columns["pose"][0], pose[:, :3].reshape(-1))
    np.testing.assert_array_equal(columns["pose_visibility"][0], pose[:, 3])
    np.testing.assert_array_equal(columns["face"][0, :1404], values[132:1536])
    assert np.isnan(columns["face"][0, 1404:]).all()
    np.testing.assert_array_equal(columns["left_hand"][0], values[1536:1599])
    np.testing.assert_array_equal(columns["right_hand"][0], values[1599:])


def test_258_numbers_are_pose_and_hands_without_a_face(tmp_path: Path) -> None:
    values = np.arange(1.0, 259.0)
    write(tmp_path / "hello/0", {"0.npy": values})
    columns = clip(tmp_path).columns
    assert "face" not in columns
    np.testing.assert_array_equal(columns["left_hand"][0], values[132:195])
    np.testing.assert_array_equal(columns["right_hand"][0], values[195:])


def test_zeros_are_missing_and_found_frames_are_counted(tmp_path: Path) -> None:
    frames = numbered(3)
    frames["1.npy"][1536:1599] = 0
    frames["1.npy"][:132] = 0
    frames["2.npy"][:] = 0
    write(tmp_path / "hello/0", frames)
    result = clip(tmp_path)
    assert np.isnan(result.columns["left_hand"]).all(axis=1).tolist() == [False, True, True]
    assert np.isnan(result.columns["pose"]).all(axis=1).tolist() == [False, True, True]
    assert np.isnan(result.columns["pose_visibility"]).all(axis=1).tolist() == [False, True, True]
    assert np.isnan(result.columns["right_hand"]).all(axis=1).tolist() == [False, False, True]
    assert (result.num_frames, result.frames_found) == (3, 2)


def test_frames_go_by_number_and_times_by_the_assumed_rate(tmp_path: Path) -> None:
    write(tmp_path / "hello/0", numbered(12, 258))
    options = ImportOptions(fps=20, width=320, height=200)
    columns = clip(tmp_path, options).columns
    np.testing.assert_array_equal(np.floor(columns["pose"][:, 0]), np.arange(1, 13))
    np.testing.assert_allclose(columns["time_ms"], np.arange(12) * 50.0)
    assert (columns["width"], columns["height"], columns["fps"], columns["num_frames"]) == (320, 200, 20.0, 12)
    assert '"assumed": {"fps": 20.0, "height": 200, "width": 320}' in columns["extractor"]


def test_words_and_subjects_come_from_folders(tmp_path: Path) -> None:
    write(tmp_path / "flat/hello/0", numbered(1))
    write(tmp_path / "deep/ada/hello/0", numbered(1))
    write(tmp_path / "above/MP_Data/hello/0", numbered(1))

    def named(folder: str, options: ImportOptions = OPTIONS) -> list[str | None]:
        columns = clip(tmp_path / folder, options).columns
        return [columns[name] for name in ("clip_id", "label", "subject")]

    assert named("flat") == ["hello/0", "hello", None]
    assert named("deep") == ["ada/hello/0", "hello", "ada"]
    assert named("above") == ["MP_Data/hello/0", "hello", None]
    assert named("deep", ImportOptions(subject="bo")) == ["ada/hello/0", "hello", "bo"]


def test_folders_of_both_depths_are_refused_rather_than_mislabelled(tmp_path: Path) -> None:
    write(tmp_path / "hello/0", numbered(1))
    write(tmp_path / "ada/hello/0", numbered(1))
    with pytest.raises(UserError, match="2 and 3 folders deep"):
        mp_data.plan(locate(tmp_path), OPTIONS)


def test_a_folder_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \.npy file"):
        mp_data.plan(locate(tmp_path), OPTIONS)


def test_a_stray_array_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "hello/0", numbered(1))
    np.save(tmp_path / "hello/all.npy", vector())
    good, stray = results(tmp_path)
    assert isinstance(good, ImportedClip)
    assert isinstance(stray, ImportFailure)
    assert (stray.clip_id, stray.stage) == ("hello/all.npy", "shape")


def test_a_bad_sequence_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "hello/0", numbered())
    (write(tmp_path / "hello/1", numbered()) / "1.npy").write_bytes(b"")
    assert [type(result) for result in results(tmp_path)] == [ImportedClip, ImportFailure]


@pytest.mark.parametrize("keep", [0, 5, 60, 128, 200, 13_000])
def test_truncated_frames_fail(tmp_path: Path, keep: int) -> None:
    file = write(tmp_path / "hello/0", numbered()) / "1.npy"
    file.write_bytes(file.read_bytes()[:keep])
    found = failure(tmp_path)
    assert (found.clip_id, found.stage) == ("hello/0", "read")
    assert "1.npy" in found.error


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ({"1.npy": np.zeros(1661)}, r"1.npy: it holds float64 of shape \(1661,\)"),
        ({"1.npy": np.zeros((1, 1662))}, r"shape \(1, 1662\)"),
        ({"1.npy": np.zeros(1662, complex)}, "complex128"),
        ({"1.npy": np.full(1662, np.nan)}, "1.npy holds numbers that are not finite"),
        ({"1.npy": np.full(1662, 1e300)}, "not finite"),
        ({"1.npy": np.ones(258)}, "258 and 1662 numbers"),
        ({"4.npy": np.ones(1662)}, "4 follows 2"),
        ({"01.npy": np.ones(1662)}, "same frame"),
        ({"x.npy": np.ones(1662)}, "x.npy is no frame"),
    ],
)
def test_frames_that_are_not_the_layout_fail_with_the_reason(
    tmp_path: Path, frames: dict[str, np.ndarray], error: str
) -> None:
    write(tmp_path / "hello/0", numbered() | frames)
    found = failure(tmp_path)
    assert found.stage == "shape"
    assert re.search(error, found.error), found.error


class Explosion:
    """Unpickling it leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    marker = tmp_path / "exploded"
    write(tmp_path / "hello/0", numbered(2))
    np.save(tmp_path / "hello/0/1.npy", np.array([Explosion(marker)], dtype=object), allow_pickle=True)
    found = failure(tmp_path)
    assert "pickled objects" in found.error
    assert not marker.exists()


def test_a_header_that_promises_a_terabyte_is_not_believed(tmp_path: Path) -> None:
    file = write(tmp_path / "hello/0", numbered(1)) / "0.npy"
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    assert "(1000000000000,)" in failure(tmp_path).error
