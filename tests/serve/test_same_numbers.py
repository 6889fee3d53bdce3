"""If these fail, what is served is not what was trained: the same clip gets one answer in training and another by HTTP.

Clips lie in Parquet, as extraction writes them. Training's way reads them with `load_clips`; a client reads the rows,
writes JSON, and asks a bundle. Recognisers are untrained, with scalers fitted on the clips, so that all features count.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
import torch

from serve.api import make_api
from serve.bodies.nested import clip_input
from serve.schemas import Instance
from serve.settings import Limits
from sigflow.bundle import GRAPH, GraphTensor, Manifest, read_bundle, write_bundle
from sigflow.data.clips import Clips, load_clips
from sigflow.export import EnsembleModel, to_onnx
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import Frontend, compute_features
from sigflow.features.hand import HandFeatures
from sigflow.features.kinematics import Kinematics
from sigflow.features.lips import LipsFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser
from sigflow.pipelines.ingest import clip_table
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from sigflow.topology import BLENDSHAPE_NAMES, INPUT_SHAPES, MOUTH_LEFT, POSE_NAMES
from tests.serve.shelves import shelf_of
from tests.serve.test_api import Client

LABELS = ("a", "b", "c")
SAME = 1e-4  # of a probability
EXTRACTED = ("left_hand", "right_hand", "pose", "face", "blendshapes")
FRONTENDS = {
    "every_feature": Frontend(
        # Some slices of the lips are left out: exporting costs a second for every 25 operators.
        features=(
            HandFeatures(),
            BodyFeatures(),
            PhonologyFeatures(),
            LipsFeatures(distances=False, speech_mask=False),
        ),
        resampling=Resampling(num_frames=12),
        kinematics=Kinematics(),
    ),
    "raw": Frontend(features=(RawFeatures(channels=8),), resampling=Resampling(num_frames=None)),
}
JSON = {"content-type": "application/json"}
Body = dict[str, Any]
CHANGES = {
    "right_hand": 8, "pose": POSE_NAMES.index("left_shoulder"), "face": MOUTH_LEFT,
    "blendshapes": BLENDSHAPE_NAMES.index("jaw_open"), "raw": 3,
}  # fmt: skip


class Video(NamedTuple):
    """Frames and what is odd of a clip."""

    frames: int
    width: int
    height: int
    uneven: bool = False
    points_unseen: bool = False  # irises and, now and then, a knee, as in imports
    lacks: tuple[str, ...] = ()


VIDEOS = (
    Video(30, 640, 480),
    Video(47, 480, 640, uneven=True),
    Video(12, 1920, 1080, points_unseen=True),
    Video(25, 640, 480, uneven=True, lacks=("right_hand", "blendshapes")),
    Video(1, 640, 480),
    Video(9, 640, 480, lacks=EXTRACTED),
)


def walk(shape: tuple[int, ...], video: Video, rng: np.random.Generator) -> np.ndarray:
    """(T, *shape): points that move a little from frame to frame, some frames missing."""
    start, step = rng.uniform(0.2, 0.8, shape), rng.normal(0, 0.01, (video.frames, *shape))
    values = (start + step.cumsum(0)).astype(np.float32)
    values[1:][rng.random(video.frames - 1) < 0.2] = np.nan
    return values


def row(number: int, video: Video) -> pa.Table:
    """A clip as extraction or an import writes it."""
    rng = np.random.default_rng(number)
    columns = {name: walk(INPUT_SHAPES[name], video, rng) for name in EXTRACTED} | {"raw": walk((8,), video, rng)}
    columns["raw"][2:3, 4] = np.nan  # a single channel
    if video.points_unseen:
        columns["face"][:, 468:] = np.nan
        columns["pose"][4:6, POSE_NAMES.index("left_knee")] = np.nan
    for part in video.lacks:
        columns[part][:] = np.nan
    steps_ms = rng.uniform(15, 60, video.frames) if video.uneven else np.full(video.frames, 40.0)
    return clip_table(
        {
            "clip_id": f"{number}.mp4", "source": None, "label": LABELS[number % 3], "subject": f"s{number}",
            "fps": 25.0, "num_frames": video.frames, "width": video.width, "height": video.height,
            "time_ms": np.cumsum(steps_ms) - steps_ms[0], "extractor": '{"made": "by the tests"}',
        }
        | {name: values.reshape(video.frames, -1) for name, values in columns.items()}
    )  # fmt: skip


def requests(data: Location) -> list[Body]:
    """What clients would send of each row; those of a steady camera say its rate, others the times of their clock."""
    bodies = []
    for clip in pa.concat_tables(file.read_parquet() for file in (data / LANDMARKS_DIR).files(".parquet")).to_pylist():
        times = np.array(clip["time_ms"])
        steady = len(times) == 1 or bool(np.allclose(np.diff(times), 40))
        bodies.append(
            {
                "landmarks": {part: [frame_json(part, frame) for frame in clip[part]] for part in (*EXTRACTED, "raw")},
                "aspect": clip["width"] / clip["height"],
                **({"fps": clip["fps"]} if steady else {"time_ms": (times + 86_400_000).tolist()}),
            }
        )
    return bodies


def frame_json(part: str, frame: list[float] | None) -> list[Any] | None:
    """null for a missing frame, and for a missing point."""
    if frame is None or (len(INPUT_SHAPES.get(part, ())) < 2 and np.isnan(frame).any()):
        return None
    if len(INPUT_SHAPES.get(part, ())) < 2:
        return frame
    return [None if np.isnan(point).any() else point.tolist() for point in np.array(frame).reshape(-1, 3)]


class Served(NamedTuple):
    """One recogniser both ways."""

    clips: Clips
    train: Callable[[Clips], np.ndarray]  # probabilities (N, K) by training's way
    ask: Callable[[Body], np.ndarray]  # probabilities (N, K) by HTTP
    bodies: list[Body]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Location:
    place = locate(tmp_path_factory.mktemp("data"))
    (place / LANDMARKS_DIR / "all.parquet").write_parquet(pa.concat_tables(row(*video) for video in enumerate(VIDEOS)))
    return place


@pytest.fixture(scope="module", params=[pytest.param("every_feature", marks=pytest.mark.slow), "raw"])
def served(request: pytest.FixtureRequest, data: Location, tmp_path_factory: pytest.TempPathFactory) -> Served:
    frontend = FRONTENDS[request.param]
    clips = load_clips(data, frontend.parts)
    model = untrained(frontend, clips)

    def train(clips: Clips) -> np.ndarray:
        with torch.no_grad():
            probs: np.ndarray = model(clips.batch(range(len(clips)))).softmax(1).numpy()
        return probs

    bundle = locate(tmp_path_factory.mktemp("bundle"))
    write_bundle(bundle, *exported(EnsembleModel([[model]], [1.0]).eval()))
    client = Client(make_api(shelf_of(read_bundle(bundle))))
    bodies = [
        body | {"landmarks": {part: frames for part, frames in body["landmarks"].items() if part in frontend.parts}}
        for body in requests(data)
    ]
    return Served(clips, train, partial(probabilities, client), bodies)


def untrained(frontend: Frontend, clips: Clips) -> Recogniser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Recogniser(frontend, LstmConfig(hidden=(16,), dense=16), len(LABELS)).eval()
    model.scaler.fit(compute_features(clips.batch(range(len(clips))), frontend).values)
    with torch.no_grad():
        for weights in model.model.parameters():
            weights.mul_(2)  # about as decided as a trained model, so that differences show
    return model


def exported(model: EnsembleModel) -> tuple[Manifest, dict[str, bytes]]:
    graph = to_onnx(model)
    sizes: dict[str, tuple[int | str, ...]] = {
        "aspect": ("batch",),
        "lengths": ("batch",),
        "time_s": ("batch", "frames"),
    }
    sizes |= {part: ("batch", "frames", *shape) for part, shape in model.shapes.items()}
    manifest = Manifest(
        name="same", version="1", created="2025-01-01T00:00:00+00:00", labels=LABELS, parts=tuple(model.shapes),
        inputs=tuple(GraphTensor(name=name, dtype="", shape=shape) for name, shape in sizes.items()),
        extractor="", recipes=(), members=(), metrics={}, parity={},
    )  # fmt: skip
    return manifest, {GRAPH: graph}


def probabilities(client: Client, body: Body) -> np.ndarray:
    answer = client.post("/v1/models/same:predict", content=json.dumps(body, allow_nan=False), headers=JSON)
    assert answer.status_code == 200, answer.text
    return np.array(
        [[prediction["probabilities"][label] for label in LABELS] for prediction in answer.json()["predictions"]]
    )


def test_a_served_bundle_gives_the_probabilities_of_training(served: Served) -> None:
    expected_NK = served.train(served.clips)
    together_NK = served.ask({"instances": served.bodies})
    alone_NK = np.concatenate([served.ask(body) for body in served.bodies])
    largest = np.abs(np.stack([together_NK, alone_NK]) - expected_NK).max()
    print(f"largest difference of a probability: {largest:.1e}")
    assert largest < SAME
    # Clips in which something was seen get answers that are far apart.
    apart = np.abs(expected_NK[:5, None] - expected_NK[None, :5]).max(-1)[~np.eye(5, dtype=bool)]
    assert apart.min() > 50 * SAME


def test_one_changed_landmark_changes_both_answers_alike(served: Served) -> None:
    """Else equal answers would mean nothing."""
    before_K = served.train(served.clips)[0]
    moved = {}
    for part, number in CHANGES.items():
        if part not in served.clips.parts:
            continue
        frames = served.clips.parts[part].clone()
        frames[: VIDEOS[0].frames, number] += 0.05
        body = copy.deepcopy(served.bodies[0])
        for frame, changed in zip(body["landmarks"][part], frames.tolist(), strict=False):
            if frame is not None:
                frame[number] = changed[number]
        expected_K = served.train(replace(served.clips, parts=served.clips.parts | {part: frames}))[0]
        np.testing.assert_allclose(served.ask(body)[0], expected_K, rtol=0, atol=SAME)
        moved[part] = float(np.abs(expected_K - before_K).max())
    print(f"answers change by {moved}")
    assert {part for part, change in moved.items() if change > 5 * SAME} == set(moved)


def test_shape_of_the_picture_and_rate_reach_the_served_features(served: Served) -> None:
    if "pose" not in served.clips.parts:
        return  # raw channels have no picture
    body = served.bodies[0]
    for change in ({"aspect": 0.75}, {"fps": 50}):
        assert np.abs(served.ask(body | change) - served.ask(body)).max() > 5 * SAME


def test_a_frame_of_null_points_is_a_frame_without_detection() -> None:
    hand: list[Any] = np.linspace(0.1, 0.9, 63).reshape(21, 3).tolist()
    frames = [hand, [None] * 21, [None, *hand[1:]]]
    clip = clip_input(Instance(landmarks={"left_hand": frames}, fps=30), {"left_hand": (21, 3)}, Limits())
    assert np.isnan(clip.parts["left_hand"]).sum(axis=(1, 2)).tolist() == [0, 63, 3]
    assert clip.found == pytest.approx(2 / 3)
