"""What several tests share: landmarks of known gestures in Parquet, and sample videos."""

import os
import pickle
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from sigflow import runs
from sigflow.bundle import GRAPH, Manifest, write_bundle
from sigflow.data.clips import load_clips
from sigflow.data.folds import make_folds
from sigflow.ensemble import average
from sigflow.export import Exported, export
from sigflow.export.gate import Limits
from sigflow.landmarks.synthetic import GESTURES, SUBJECTS, Subject, gesture_pose, write_sample_set
from sigflow.landmarks.synthetic.render import true_landmarks
from sigflow.pipelines.bundle import bundle_exported, stream_settings
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.runs import read_run
from sigflow.schema import LANDMARKS_DIR, encode_frames, landmark_schema
from sigflow.storage import Location, locate
from sigflow.training import fit

Once = Callable[[str, Callable[[Path], object]], Path]


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Files stay whole. Two processes have a Ray cluster each and begin with all that waits for it; others compute."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if "integration/" not in file:
            return file
        return "first cluster" if file.endswith("test_pipeline.py") else "second cluster"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups are given out in this order."""
    items.sort(key=lambda item: "integration" not in item.path.parts)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`make(folder)` by the first test process that needs the folder `name`, for all of them; gives the folder."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def make_once(name: str, make: Callable[[Path], object]) -> Path:
        folder = shared / "once" / name
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                draft = folder.with_suffix(".draft")
                draft.mkdir(parents=True)
                make(draft)
                draft.rename(folder)
        return folder

    (shared / "once").mkdir(exist_ok=True)
    return make_once


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
                    "start_s": None,
                    "end_s": None,
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
                    values.append(row.get(name))
    arrays = [
        encode_frames(columns[field.name], field)  # type: ignore[arg-type]
        if isinstance(columns[field.name][0], np.ndarray)
        else pa.array(columns[field.name], field.type)
        for field in schema
    ]
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(pa.table(arrays, schema=schema))
    return place


@pytest.fixture(scope="session")
def gesture_landmarks(once: Once) -> Location:
    """5 subjects x 3 gestures x 4 takes: 60 clips."""
    return locate(once("gestures", lambda folder: write_gesture_landmarks(locate(folder))))


@pytest.fixture(scope="session")
def sample_videos(once: Once) -> Path:
    """4 subjects x 3 gestures x 2 takes as mp4, `<subject>/<gesture>/<take>.mp4`."""

    def make(folder: Path) -> None:
        gestures = ("open_close", "swipe_in", "victory")
        write_sample_set(folder, subjects=SUBJECTS[:4], gestures=gestures, takes=2, processes=2)

    return once("videos", make)


@pytest.fixture(scope="session")
def write_gestures() -> Callable[..., Location]:
    """`write_gesture_landmarks` at a path, for tests that want other subjects, gestures or takes."""

    def write(folder: Path, **selection: Any) -> Location:
        return write_gesture_landmarks(locate(folder), **selection)

    return write


def train_run(
    place: Location, data: Location, recipe: Recipe, *, spec: str = "3", holdout: Sequence[str] = ()
) -> Location:
    """All folds of `recipe` on `data`, trained in this process into the run directory `place`."""
    clips = load_clips(data, recipe.parts)
    ids, names, subjects = ([str(value) for value in clips.column(key)] for key in ("clip_id", "label", "subject"))
    folds = make_folds(names, subjects, clips.column("split"), spec=spec, holdout=holdout)
    run = runs.Run(
        recipe=recipe,
        data=data.uri,
        data_fingerprint=clips.fingerprint,
        extractor=str(clips.column("extractor")[0]),
        labels=tuple(sorted(set(names))),
        num_folds=len(folds.folds),
        folds_spec=spec,
        folds_fingerprint=folds.fingerprint,
        holdout=tuple(holdout),
        subject_independent=folds.subject_independent,
    )
    runs.start_run(place, run, folds.table(ids), resume=False)
    for fold in folds.folds:
        result = fit(recipe, clips, run.labels, fold)
        ids_N, names_N, subjects_N = ([values[i] for i in fold.test] for values in (ids, names, subjects))
        runs.write_fold(
            place, run.key, fold.number,
            weights=result.weights,
            test=runs.predictions_table(ids_N, fold.number, names_N, subjects_N, result.test_probs),
            summary={"best_epoch": result.best_epoch, "metrics": result.metrics, "history": result.history},
        )  # fmt: skip
    runs.finish_run(place, run)
    return place


@pytest.fixture(scope="session")
def trained_run(gesture_landmarks: Location, once: Once) -> Location:
    """A finished run of three folds, each trained for a few epochs."""
    recipe = override(find_recipe("isolated_gestures"), ["train.epochs=15"])
    made = once("runs", lambda folder: train_run(locate(folder) / "first", gesture_landmarks, recipe))
    return locate(made) / "first"


@pytest.fixture(scope="session")
def exported_run(trained_run: Location, once: Once) -> Exported:
    """The graph of `trained_run` with the checks' findings."""
    made = once("export", lambda folder: (folder / "it").write_bytes(pickle.dumps(export(average([trained_run])))))
    exported: Exported = pickle.loads((made / "it").read_bytes())
    return exported


@pytest.fixture(scope="session")
def exported_bundle(
    trained_run: Location, exported_run: Exported, tmp_path_factory: pytest.TempPathFactory
) -> Location:
    """The bundle of `trained_run`."""
    run = read_run(trained_run)
    manifest = Manifest(
        name="gestures",
        version="1a2b3c",
        created="2025-01-01T00:00:00+00:00",
        labels=run.labels,
        parts=exported_run.parts,
        inputs=exported_run.inputs,
        extractor=run.extractor,
        recipes=(run.recipe.model_dump(mode="json"),),
        members=({"run": trained_run.name, "key": run.key, "weight": 1.0, "folds": run.num_folds},),
        metrics={"measured_on": "estimated from OOF", "subject_independent": run.subject_independent},
        parity=exported_run.parity,
        stream=stream_settings(average([trained_run]), exported_run.parts),
    )
    place = locate(tmp_path_factory.mktemp("bundles")) / "gestures"
    write_bundle(place, manifest, {GRAPH: exported_run.graph})
    return place


@pytest.fixture(scope="session")
def full_bundle(trained_run: Location, exported_run: Exported, once: Once) -> Location:
    """The bundle of `trained_run` as jobs/ensemble.py writes it, with every precision tried."""

    def make(folder: Path) -> None:
        # Whatever else the machine does: no test fails because a graph was slow.
        limits = Limits(slowdown=1000)
        bundle_exported(average([trained_run]), exported_run, locate(folder), name="gestures", limits=limits)

    return locate(once("full", make))
