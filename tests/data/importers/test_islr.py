"""If these fail, the Kaggle data is imported with landmarks in the wrong place, a wrong sign, or a wrong time."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sigflow.data.importers import ImportedClip, ImportFailure, ImportOptions, islr
from sigflow.errors import UserError
from sigflow.storage import locate

OPTIONS = ImportOptions()
SIZES = {"face": 468, "left_hand": 21, "pose": 33, "right_hand": 21}


def long_table(frames: tuple[int, ...] = (20, 21, 23), missing: tuple[tuple[int, str], ...] = ()) -> dict[str, Any]:
    """Every point of every frame; x tells frame, type and index."""
    rows = [(f, kind, index) for f in frames for kind, size in SIZES.items() for index in range(size)]
    x = [np.nan if (f, kind) in missing else f + 0.1 * [*SIZES].index(kind) + index / 10_000 for f, kind, index in rows]
    return {
        "frame": pa.array([f for f, _, _ in rows], pa.int16()),
        "row_id": [f"{f}-{kind}-{index}" for f, kind, index in rows],
        "type": [kind for _, kind, _ in rows],
        "landmark_index": pa.array([index for _, _, index in rows], pa.int16()),
        "x": x,
        "y": [value + 1000 for value in x],
        "z": [value + 2000 for value in x],
    }


def write(file: Path, columns: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)
    return file


def results(source: Path, options: ImportOptions = OPTIONS) -> list[ImportedClip | ImportFailure]:
    return [result for item in islr.plan(locate(source), options) for result in islr.read(item, options)]


def clip(source: Path, options: ImportOptions = OPTIONS) -> ImportedClip:
    (result,) = results(source, options)
    assert isinstance(result, ImportedClip), result
    return result


def failure(source: Path) -> ImportFailure:
    (result,) = results(source)
    assert isinstance(result, ImportFailure)
    return result


def test_every_point_lands_in_its_place_whatever_the_order_of_rows(tmp_path: Path) -> None:
    table = pa.table(long_table())
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    pq.write_table(shuffled, tmp_path / "1.parquet")
    result = clip(tmp_path)
    for number, (kind, size) in enumerate(SIZES.items()):
        points = result.columns[kind].reshape(3, -1, 3)
        expected = np.array([[20.0], [21], [23]]) + 0.1 * number + np.arange(size) / 10_000
        np.testing.assert_allclose(points[:, :size, 0], expected, rtol=1e-6)
        np.testing.assert_allclose(points[:, :size, 1], expected + 1000, rtol=1e-6)
        np.testing.assert_allclose(points[:, :size, 2], expected + 2000, rtol=1e-6)
        assert np.isnan(points[:, size:]).all()
    assert result.columns["face"].shape == (3, 3 * 478)


def test_times_follow_frame_numbers_and_their_gaps(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", long_table())
    result = clip(tmp_path, ImportOptions(fps=10))
    np.testing.assert_allclose(result.columns["time_ms"], [0, 100, 300])
    assert result.num_frames == 3


def test_nan_null_and_absent_rows_are_missing(tmp_path: Path) -> None:
    table = pa.table(long_table(missing=((20, "left_hand"),)))
    is_gone = np.array(
        [
            (f, kind) == (21, "left_hand")
            for f, kind in zip(*(table[c].to_pylist() for c in ("frame", "type")), strict=True)
        ]
    )
    pq.write_table(table.filter(pa.array(~is_gone)), tmp_path / "1.parquet")
    result = clip(tmp_path)
    assert np.isnan(result.columns["left_hand"]).all(axis=1).tolist() == [True, True, False]
    assert result.frames_found == 3


def test_train_csv_gives_sign_and_participant(tmp_path: Path) -> None:
    for name in ("26734/1000035562", "26734/1", "7/2"):
        write(tmp_path / f"train_landmark_files/{name}.parquet", long_table((0,)))
    (tmp_path / "train.csv").write_text(
        "path,participant_id,sequence_id,sign\n"
        "train_landmark_files/26734/1000035562.parquet,26734,1000035562,blow\n"
        "train_landmark_files/26734/1.parquet,26734,1,NA\n"
        "train_landmark_files/9/9.parquet,9,9,wait\n"
    )
    named = [
        (item.identity.clip_id, item.identity.label, item.identity.subject)
        for item in islr.plan(locate(tmp_path), OPTIONS)
    ]
    assert named == [
        ("train_landmark_files/26734/1.parquet", "NA", "26734"),
        ("train_landmark_files/26734/1000035562.parquet", "blow", "26734"),
        ("train_landmark_files/7/2.parquet", None, "7"),
    ]
    given = islr.plan(locate(tmp_path), ImportOptions(subject="ada"))
    assert {item.identity.subject for item in given} == {"ada"}


def test_a_train_csv_of_something_else_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", long_table((0,)))
    (tmp_path / "train.csv").write_text("path,phrase\na,b\n")
    with pytest.raises(UserError, match=r"not the train\.csv of asl-signs"):
        islr.plan(locate(tmp_path), OPTIONS)


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \.parquet file"):
        islr.plan(locate(tmp_path), OPTIONS)


@pytest.mark.parametrize("keep", [0, 3, 500])
def test_a_truncated_file_fails_alone(tmp_path: Path, keep: int) -> None:
    write(tmp_path / "1.parquet", long_table())
    bad = write(tmp_path / "2.parquet", long_table())
    bad.write_bytes(bad.read_bytes()[:keep])
    good, found = results(tmp_path)
    assert isinstance(good, ImportedClip)
    assert isinstance(found, ImportFailure)
    assert (found.clip_id, found.stage) == ("2.parquet", "read")


def small(**changed: Any) -> dict[str, Any]:
    return {"frame": [1, 1], "row_id": ["a", "b"], "type": ["pose", "pose"], "landmark_index": [0, 1], "x": [0.0, 1.0],
            "y": [0.0, 1.0], "z": [0.0, 1.0]} | changed  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "error"),
    [
        (small(type=["pose", "tail"]), "unknown type tail"),
        (small(type=["pose", None]), "null in some row"),
        (small(type=[1, 2]), "unknown type 1"),
        (small(type=pa.array(["pose", "face"], pa.large_string()), landmark_index=[40, 1]), "beyond"),
        (small(landmark_index=[0, 33]), "beyond its type's points"),
        (small(landmark_index=[0, -1]), "beyond its type's points"),
        (small(landmark_index=[1, 1]), "twice in one frame"),
        (small(x=[0.0, np.inf]), "infinite"),
        ({"frame": [1], "type": ["pose"]}, "no column landmark_index, x, y, z"),
        ({name: values[:0] for name, values in small(type=["pose"]).items()}, "no frame"),
    ],
)  # fmt: skip
def test_what_is_not_the_layout_fails_with_the_reason(tmp_path: Path, columns: dict[str, Any], error: str) -> None:
    write(tmp_path / "1.parquet", columns)
    found = failure(tmp_path)
    assert found.stage in ("shape", "read")
    assert error in found.error


def test_a_file_of_far_too_many_frames_fails_before_it_fills_the_memory(tmp_path: Path) -> None:
    count = islr.MAX_FRAMES + 1
    write(
        tmp_path / "1.parquet",
        {"frame": np.arange(count), "type": ["pose"] * count, "landmark_index": [0] * count}
        | {axis: np.zeros(count) for axis in "xyz"},
    )
    assert f"{count} frames are no clip" in failure(tmp_path).error
