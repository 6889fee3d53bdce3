"""If these fail, .pose files lose their scale, their missing points or their labels, or a truncated one is believed."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import (
    PoseHeader,
    PoseHeaderComponent,
    PoseHeaderDimensions,
)

from sigflow.data.importers import ImportedClip, ImportFailure, ImportOptions, pose
from sigflow.errors import UserError
from sigflow.storage import locate
from sigflow.topology import HAND_NAMES, POSE_NAMES

OPTIONS = ImportOptions()
FINGERS = ("INDEX", "MIDDLE", "RING", "PINKY")
HAND = [
    name.upper().replace("_", "_FINGER_", 1) if name.upper().startswith(FINGERS[:3]) else name.upper()
    for name in HAND_NAMES
]
HOLISTIC = {
    "POSE_LANDMARKS": [name.upper() for name in POSE_NAMES],
    "FACE_LANDMARKS": [str(number) for number in range(468)],
    "LEFT_HAND_LANDMARKS": HAND,
    "RIGHT_HAND_LANDMARKS": HAND,
    "POSE_WORLD_LANDMARKS": [name.upper() for name in POSE_NAMES],
}


def encoded(
    data_TPC: np.ndarray,
    confidence_TP: np.ndarray | None = None,
    components: dict[str, list[str]] = HOLISTIC,
    *,
    fps: float = 25,
    size: tuple[int, int] = (400, 200),
    people: int = 1,
    point_format: str = "XYZC",
) -> bytes:
    confidence = np.ones(data_TPC.shape[:2]) if confidence_TP is None else confidence_TP
    header = PoseHeader(
        0.2,
        PoseHeaderDimensions(*size),
        [PoseHeaderComponent(name, points, [], [], point_format) for name, points in components.items()],
    )
    data, confidence = (np.repeat(values[:, None], people, axis=1) for values in (data_TPC, confidence))
    stream = io.BytesIO()
    Pose(header, NumPyPoseBody(fps, data.astype(np.float32), confidence.astype(np.float32))).write(stream)
    return stream.getvalue()


def frames(count: int = 3, points: int = 576) -> np.ndarray:
    """x = 4 p, y = 2 p pixels, z = p / 1000 widths, plus the frame's number."""
    number = np.arange(points, dtype=float)
    return np.stack([np.stack([4 * number, 2 * number, number / 1000], axis=1) + frame for frame in range(count)])


def write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def results(source: Path, options: ImportOptions = OPTIONS) -> list[ImportedClip | ImportFailure]:
    return [result for item in pose.plan(locate(source), options) for result in pose.read(item, options)]


def clip(source: Path) -> ImportedClip:
    (result,) = results(source)
    assert isinstance(result, ImportedClip), result
    return result


def failure(source: Path) -> ImportFailure:
    (result,) = results(source)
    assert isinstance(result, ImportFailure)
    return result


def test_pixels_become_shares_of_the_frame_and_the_header_gives_rate_and_size(tmp_path: Path) -> None:
    result = clip(write(tmp_path / "a.pose", encoded(frames(), fps=12.5)))
    columns = result.columns
    number = np.arange(33)
    points = columns["pose"].reshape(3, 33, 3)
    np.testing.assert_allclose(points[0, :, 0], 4 * number / 400, rtol=1e-6)
    np.testing.assert_allclose(points[0, :, 1], 2 * number / 200, rtol=1e-6)
    np.testing.assert_allclose(points[0, :, 2], number / 1000, rtol=1e-6)
    first = {"face": 33, "left_hand": 501, "right_hand": 522}
    assert {part: round(float(columns[part][0, 0]) * 100) for part in first} == first
    assert np.isnan(columns["face"][:, 3 * 468 :]).all()
    assert (columns["width"], columns["height"], columns["fps"]) == (400, 200, 12.5)
    np.testing.assert_allclose(columns["time_ms"], [0, 80, 160])
    assert '"assumed": {}' in columns["extractor"]
    assert '"z": "as stored"' in columns["extractor"]


def test_depth_in_pixels_becomes_widths(tmp_path: Path) -> None:
    data = frames()
    data[:, :, 2] *= 400
    columns = clip(write(tmp_path / "a.pose", encoded(data))).columns
    np.testing.assert_allclose(columns["pose"].reshape(3, 33, 3)[0, :, 2], np.arange(33) / 1000, rtol=1e-5)
    assert '"z": "divided by width"' in columns["extractor"]


def test_no_confidence_is_missing_and_a_pose_keeps_its_visibility(tmp_path: Path) -> None:
    confidence = np.full((3, 576), 0.75)
    confidence[1, 501:522] = 0  # no left hand
    confidence[:, 25:33] = 0  # no legs
    confidence[2, :33] = 0  # no pose
    columns = clip(write(tmp_path / "a.pose", encoded(frames(), confidence))).columns
    assert np.isnan(columns["left_hand"]).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(columns["pose"]).any(axis=1).tolist() == [True, True, True]
    assert np.isnan(columns["pose"]).all(axis=1).tolist() == [False, False, True]
    np.testing.assert_array_equal(columns["pose_visibility"][0], [0.75] * 25 + [0] * 8)
    assert np.isnan(columns["pose_visibility"][2]).all()


def test_points_of_a_reduced_file_go_by_name(tmp_path: Path) -> None:
    reduced = {"POSE_LANDMARKS": ["RIGHT_WRIST", "NOSE"], "FACE_LANDMARKS": ["61", "0"], "RIGHT_HAND_LANDMARKS": HAND}
    columns = clip(write(tmp_path / "a.pose", encoded(frames(2, 25), components=reduced))).columns
    points, face = columns["pose"].reshape(2, 33, 3), columns["face"].reshape(2, 478, 3)
    assert np.flatnonzero(~np.isnan(points[0, :, 0])).tolist() == [0, 16]
    np.testing.assert_allclose(points[0, [16, 0], 0], [0, 0.01])
    np.testing.assert_allclose(face[0, [61, 0], 0], [0.02, 0.03], rtol=1e-6)
    assert "left_hand" not in columns


def test_an_index_names_the_files(tmp_path: Path) -> None:
    for name in ("ase/1.pose", "ase/2.pose", "ase/3.pose", "ase/4.pose"):
        write(tmp_path / name, encoded(frames(1)))
    (tmp_path / "index.csv").write_text(
        "path,spoken_language,signed_language,start,end,words,glosses,priority\n"
        "ase/1.pose,en,ase,0,2720,ä,Ä B,0\n"
        "ase/2.pose,en,ase,0,2720,A,A,0\nase/2.pose,fr,fsl,0,2720,A,A,0\n"
        "ase/3.pose,en,ase,0,2720,A,A,0\nase/3.pose,fr,fsl,0,2720,E,E,0\n"
        "ase/9.pose,fr,fsl,0,2720,E,E,0\n"
    )
    one, two, three, four = results(tmp_path)
    assert isinstance(one, ImportedClip)
    assert (one.columns["clip_id"], one.columns["label"]) == ("ase/1.pose", "ä")
    assert one.columns["glosses"] == ["Ä", "B"]
    assert isinstance(two, ImportedClip)
    assert two.columns["label"] == "A"
    assert isinstance(three, ImportFailure)
    assert (three.clip_id, three.stage) == ("ase/3.pose", "label")
    assert isinstance(four, ImportedClip)
    assert four.columns["label"] is None


def test_one_file_finds_the_index_beside_it(tmp_path: Path) -> None:
    file = write(tmp_path / "1.pose", encoded(frames(1)))
    (tmp_path / "index.csv").write_text("path,label,subject,split\n1.pose,wave,ada,test\n")
    columns = clip(file).columns
    assert [columns[name] for name in ("clip_id", "label", "subject", "split")] == ["1.pose", "wave", "ada", "test"]


def test_without_an_index_folders_name_the_files(tmp_path: Path) -> None:
    write(tmp_path / "ada/wave/1.pose", encoded(frames(1)))
    columns = clip(tmp_path).columns
    assert [columns[name] for name in ("clip_id", "label", "subject")] == ["ada/wave/1.pose", "wave", "ada"]
    write(tmp_path / "wave/1.pose", b"")
    with pytest.raises(UserError, match="1 and 2 folders deep"):
        pose.plan(locate(tmp_path), OPTIONS)


@pytest.mark.parametrize("content", ["label\nwave\n", "path,label\n,wave\n", "", "path,label\na.pose\n"])
def test_an_unusable_index_is_refused(tmp_path: Path, content: str) -> None:
    write(tmp_path / "a.pose", encoded(frames(1)))
    (tmp_path / "index.csv").write_text(content)
    with pytest.raises(UserError, match=r"index\.csv"):
        pose.plan(locate(tmp_path), OPTIONS)


@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.02, 0.3, 0.9, 0.9999])
def test_a_truncated_file_fails_alone(tmp_path: Path, keep: float) -> None:
    whole = encoded(frames())
    write(tmp_path / "a.pose", whole)
    write(tmp_path / "b.pose", whole[: int(keep * len(whole))])
    good, found = results(tmp_path)
    assert isinstance(good, ImportedClip)
    assert isinstance(found, ImportFailure)
    assert (found.clip_id, found.stage) == ("b.pose", "read")


def version_0_1(content: bytes, count: int) -> bytes:
    """The same file as version 0.1, which counts frames in 16 bits."""
    new = bytearray(content)
    new[:4] = np.float32(0.1).tobytes()
    body = len(content) - count * 576 * 16 - 10
    new[body : body + 8] = np.array([25, count], "<u2").tobytes()
    return bytes(new)


def test_the_older_version_is_read_and_its_truncation_noticed(tmp_path: Path) -> None:
    new, old = encoded(frames()), version_0_1(encoded(frames()), 3)
    expected = clip(write(tmp_path / "new/a.pose", new)).columns
    columns = clip(write(tmp_path / "old/a.pose", old)).columns
    np.testing.assert_array_equal(columns["right_hand"], expected["right_hand"])
    assert columns["fps"] == 25
    # Cut by one whole frame the body still divides evenly, and would be read with coordinates as confidences.
    assert "truncated" in failure(write(tmp_path / "cut/a.pose", old[: -576 * 16])).error


@pytest.mark.parametrize(
    ("content", "stage", "error"),
    [
        (encoded(frames(), people=2), "shape", "2 people"),
        (encoded(frames(), size=(0, 0)), "shape", "0x0 pixels"),
        (encoded(frames(), fps=0), "shape", "0.0 frames/s"),
        (encoded(frames()[:0]), "shape", "no frame"),
        (encoded(frames(points=2), components={"pose_keypoints_2d": ["Nose", "Neck"]}), "shape", "pose_keypoints_2d"),
        (encoded(frames(points=1), components={"FACE_LANDMARKS": ["478"]}), "shape", "478 is no point"),
        (encoded(frames(points=1), components={"POSE_LANDMARKS": ["TAIL"]}), "shape", "TAIL is no point"),
        (encoded(frames()[:, :, :2], point_format="XYC"), "shape", "XYC"),
        (encoded(np.full((1, 576, 3), np.inf)), "shape", "infinite"),
        (np.float32(7).tobytes() + encoded(frames())[4:], "read", "version"),
        (b"no pose at all", "read", ""),
    ],
)
def test_what_is_not_holistic_fails_with_the_reason(tmp_path: Path, content: bytes, stage: str, error: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = failure(write(tmp_path / "a.pose", content))
    assert found.stage == stage
    assert error in found.error
