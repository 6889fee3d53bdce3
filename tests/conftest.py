"""What several tests share: landmarks of known gestures in Parquet, and sample videos."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sigflow.landmarks.synthetic import GESTURES, SUBJECTS, Subject, gesture_pose, write_sample_set
from sigflow.landmarks.synthetic.render import true_landmarks
from sigflow.schema import LANDMARKS_DIR, encode_frames, landmark_schema
from sigflow.storage import Location, locate


def write_gesture_landmarks(
    place: Location,
    *,
    subjects: Sequence[Subject] = SUBJECTS[:5],
    gestures: Sequence[str] = GESTURES[:3],
    takes: int = 4,
) -> Location:
    """Landmarks of the sample set's gestures as extraction would store them, without rendering; z is 0."""
    schema = landmark_schema(("left_hand", "right_hand"))
    columns: dict[str, list[object]] = {field.name: [] for field in schema}
    for subject in subjects:
        for gesture in gestures:
            for take in range(takes):
                rng = np.random.default_rng(zlib.crc32(f"{subject.name}/{gesture}/{take}".encode()))
                count = int(rng.integers(20, 31))
                phases = np.clip(np.linspace(0, 1, count) + rng.normal(0, 0.02), 0, 1)
                poses = [gesture_pose(gesture, float(phase), left=subject.left) for phase in phases]
                points = np.stack([true_landmarks(pose, subject.look, subject.camera) for pose in poses])
                hand = np.zeros((count, 21, 3), np.float32)
                hand[:, :, :2] = points + rng.normal(0, 0.002, points.shape)
                hand[rng.random(count) < 0.05] = np.nan
                missing = np.full((count, 63), np.nan, np.float32)
                side, other = ("left_hand", "right_hand") if subject.left else ("right_hand", "left_hand")
                row = {
                    "clip_id": f"{subject.name}/{gesture}/{take}.mp4",
                    "source": None,
                    "label": gesture,
                    "glosses": None,
                    "subject": subject.name,
                    "split": ("train", "val", "test", "train")[take % 4],
                    "fps": float(subject.fps),
                    "num_frames": count,
                    "width": subject.camera.width,
                    "height": subject.camera.height,
                    "time_ms": np.arange(count) * 1000.0 / subject.fps,
                    "extractor": '{"made": "by the tests"}',
                    side: hand.reshape(count, 63),
                    other: missing,
                    f"{side}_world": hand.reshape(count, 63),
                    f"{other}_world": missing,
                    f"{side}_score": np.where(np.isnan(hand[:, 0, 0]), np.nan, 0.9).astype(np.float32),
                    f"{other}_score": np.full(count, np.nan, np.float32),
                    f"{side}_handedness": [None] * count,
                    f"{other}_handedness": [None] * count,
                }
                for name, values in columns.items():
                    values.append(row[name])
    arrays = [
        encode_frames(columns[field.name], field)  # type: ignore[arg-type]
        if isinstance(columns[field.name][0], np.ndarray)
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(pa.table(arrays, schema=schema))
    return place


@pytest.fixture(scope="session")
def gesture_landmarks(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """5 subjects x 3 gestures x 4 takes: 60 clips."""
    return write_gesture_landmarks(locate(tmp_path_factory.mktemp("gestures")))


@pytest.fixture(scope="session")
def sample_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 subjects x 3 gestures x 2 takes as mp4, `<subject>/<gesture>/<take>.mp4`."""
    folder = tmp_path_factory.mktemp("videos")
    return write_sample_set(
        folder, subjects=SUBJECTS[:4], gestures=("open_close", "swipe_in", "victory"), takes=2, processes=2
    )
