"""If these fail, someone who fell is not seen, or is told of again and again, or the alarm rings for one who sits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sigflow.bundle import GRAPH, Manifest, read_bundle, write_bundle
from sigflow.data.clips import load_clips
from sigflow.data.folds import make_folds
from sigflow.export import EnsembleModel, graph_inputs, to_onnx
from sigflow.pipelines.replay import replay
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.spotting import fitted
from sigflow.storage import Location, locate
from sigflow.training import build, fit
from tests.conftest import Once
from tests.serve.protocols import falls
from tests.serve.protocols.falls import BENDS, FPS, LIES, SITS, UP, Piece, Step
from tests.serve.protocols.streams import Message, Serve, talk, texts
from tests.serve.shelves import shelf_of

pytestmark = pytest.mark.slow
LABELS = ("ADL", "Fall")


def trained(folder: Path) -> None:
    """A bundle of the recipe, after a moment of training on four people."""
    rng = np.random.default_rng(0)
    data = falls.write(locate(folder) / "data", [(who, each) for who in "abcd" for each in falls.clips(rng, 6)])
    recipe = override(find_recipe("fall_detection"), ["train.epochs=12", "optim.lr=3e-3"])
    clips = load_clips(data, recipe.parts)
    names, subjects = ([str(each) for each in clips.column(key)] for key in ("label", "subject"))
    (fold, *_) = make_folds(names, subjects, clips.column("split"), spec="4").folds
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = fit(recipe, clips, LABELS, fold)
    torch.set_num_threads(threads)
    network = build(recipe, len(LABELS))
    network.load_state_dict(result.weights)
    model = EnsembleModel([[network.eval()]], [1.0]).eval()
    graph = to_onnx(model)
    right = [float(probs.max()) for probs, row in zip(result.test_probs, fold.test, strict=True)
             if LABELS[int(probs.argmax())] == names[row]]  # fmt: skip
    parts = tuple(model.shapes)
    manifest = Manifest(
        name="falls", version="1", created="2026-01-01T00:00:00+00:00", labels=LABELS, parts=parts,
        inputs=graph_inputs(graph), extractor="tests", recipes=(), members=(), metrics={}, parity={},
        stream=fitted(LABELS, parts, [3.0], right, sentences=False),
    )  # fmt: skip
    write_bundle(locate(folder) / "bundle", manifest, {GRAPH: graph})


@pytest.fixture(scope="module")
def place(once: Once) -> Location:
    return locate(once("falls", trained)) / "bundle"


@pytest.fixture(scope="module")
def recording() -> list[Piece]:
    """An evening of someone else: what is done between four falls, and for a while after each."""
    rng = np.random.default_rng(7)
    quiet = falls.piece(
        "ADL", UP, Step(8, UP), Step(1.5, SITS), Step(10, SITS), Step(1.5, UP), Step(3, UP), Step(1.5, BENDS),
        Step(1.5, UP), Step(4, UP), Step(2.2, LIES), Step(10, LIES), Step(2, UP), Step(5, UP), rng=rng,
    )  # fmt: skip
    evening = [quiet]
    for left in (True, False, True, False):
        rises = falls.piece("ADL", LIES, Step(12, LIES), Step(2, UP), Step(6, UP), rng=rng, left=left)
        evening += [falls.fall(rng, 1.0, 1.6, left=left), rises, quiet]
    return evening


def frames_of(recording: list[Piece]) -> tuple[list[Message], list[float]]:
    """As a client sends them; and when falls begin, in seconds."""
    frames: list[Message] = []
    begun_s = []
    for each in recording:
        if each.label == "Fall":
            begun_s.append(len(frames) / FPS + 1.0)
        frames += [
            {"time_ms": 1000 * (len(frames) + n) / FPS, "landmarks": {"pose": pose.round(4).tolist()}, "aspect": 4 / 3}
            for n, pose in enumerate(each.pose_TP3)
        ]
    return frames, begun_s


def test_each_fall_in_a_long_recording_rings_once_and_nothing_else_does(
    start: Serve, place: Location, recording: list[Piece]
) -> None:
    frames, begun_s = frames_of(recording)
    assert frames[-1]["time_ms"] > 240_000
    uri = start(shelf_of(read_bundle(place))) + "/v1/models/falls/stream?every_window=1"
    told, code = talk(uri, texts(frames, 100))
    assert code == 1000
    events = [message for message in told if message["type"] == "event"]
    assert [event["label"] for event in events] == ["Fall"] * len(begun_s)
    for event, at_s in zip(events, begun_s, strict=True):
        assert at_s - 1.5 < event["start_s"] < at_s + 2.0
        assert at_s < event["at_s"] < at_s + 4.0


def test_a_replay_counts_false_alarms_by_the_hour(place: Location, recording: list[Piece], tmp_path: Path) -> None:
    def played(pieces: list[Piece], name: str) -> dict[str, Any]:
        data = falls.write(locate(tmp_path) / name, [("eve", each) for each in pieces])
        return replay(place, data, locate(tmp_path) / f"{name}-out")

    answer = played(recording, "evening")
    assert (answer["done"], answer["once"], answer["false_alarms"]) == (4, 4, 0)
    assert answer["false_alarms_per_hour"] == 0
    # Someone else says that the last fall was none: then the same event was a false alarm.
    (last,) = [i for i, each in enumerate(recording) if each.label == "Fall"][-1:]
    other = [*recording[:last], recording[last]._replace(label="ADL"), *recording[last + 1 :]]
    answer = played(other, "other")
    assert (answer["done"], answer["once"], answer["false_alarms"]) == (3, 3, 1)
    assert answer["false_alarms_per_hour"] == pytest.approx(1 / answer["negative_hours"])
    assert answer["negative_hours"] > 0.05
    written = json.loads((tmp_path / "other-out" / "replay.json").read_text())
    assert written["false_alarms_per_hour"] == answer["false_alarms_per_hour"]
