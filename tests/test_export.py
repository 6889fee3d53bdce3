"""If these fail, the served graph is not the trained model, or answers only clips of the exporter's own size."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sigflow import runs
from sigflow.data.clips import load_clips
from sigflow.ensemble import average
from sigflow.export import (
    TOLERANCE,
    EnsembleModel,
    Exported,
    check_graph,
    ensemble_model,
    random_inputs,
    run_graph,
    to_onnx,
)
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.resample import Resampling
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser
from sigflow.storage import Location

PARTS = ("left_hand", "right_hand")
SHAPES = dict.fromkeys(PARTS, (21, 3))


@pytest.fixture(scope="module")
def model(trained_run: Location) -> EnsembleModel:
    return ensemble_model(average([trained_run]))


@pytest.fixture(scope="module")
def session(exported_run: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(exported_run.graph, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def mixed() -> EnsembleModel:
    """Two untrained members that see different frames and different hands."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        small = LstmConfig(hidden=(6,), dense=4)
        moving = Frontend(features=(HandFeatures(),), resampling=Resampling(num_frames=7))
        first = [Recogniser(moving, small, 3) for _ in range(2)]
        right = Frontend(features=(HandFeatures(side="right"),), resampling=Resampling(num_frames=12, span="clip"))
        second = Recogniser(right, small, 3)
    return EnsembleModel([first, [second]], [0.75, 0.25]).eval()


@pytest.fixture(scope="module")
def second_graph(exported_run: Exported, mixed: EnsembleModel) -> bytes:
    """The second graph that this process exports."""
    return to_onnx(mixed)


def test_the_graph_gives_torchs_numbers(exported_run: Exported) -> None:
    assert exported_run.parts == PARTS
    assert exported_run.parity.keys() == {"torch", "padding", "batch"}
    assert max(exported_run.parity.values()) < 1e-5 < TOLERANCE


def test_recorded_gestures_get_the_same_answer_as_in_torch(
    session: onnxruntime.InferenceSession, model: EnsembleModel, gesture_landmarks: Location
) -> None:
    inputs = load_clips(gesture_landmarks, model.shapes).batch(range(60))
    with torch.no_grad():
        expected = model(*inputs.flat()).numpy()
    assert np.allclose(run_graph(session, inputs), expected, atol=1e-5)


@pytest.mark.parametrize(("batch", "frames"), [(1, 1), (1, 2), (3, 16), (2, 333), (40, 5)])
def test_clips_of_any_number_and_length_are_answered(
    session: onnxruntime.InferenceSession, model: EnsembleModel, batch: int, frames: int
) -> None:
    inputs = random_inputs(model.shapes, batch, frames, np.random.default_rng(frames))
    probs_BK = run_graph(session, inputs)
    with torch.no_grad():
        assert np.allclose(probs_BK, model(*inputs.flat()).numpy(), atol=1e-5)
    assert np.allclose(probs_BK.sum(1), 1, atol=1e-5)


def test_the_sizes_of_the_inputs_are_left_open(exported_run: Exported) -> None:
    shapes = {value.name: (value.dtype, value.shape) for value in exported_run.inputs}
    assert shapes == {
        "left_hand": ("float32", ("batch", "frames", 21, 3)),
        "right_hand": ("float32", ("batch", "frames", 21, 3)),
        "time_s": ("float32", ("batch", "frames")),
        "aspect": ("float32", ("batch",)),
        "lengths": ("int64", ("batch",)),
    }


def test_a_second_export_in_one_process_leaves_them_open_too(second_graph: bytes, mixed: EnsembleModel) -> None:
    dims = {
        value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim][:2]
        for value in onnx.load_from_string(second_graph).graph.input
    }
    assert dims == {part: ["batch", "frames"] for part in (*PARTS, "time_s")} | {
        "aspect": ["batch"], "lengths": ["batch"],
    }  # fmt: skip
    assert max(check_graph(second_graph, mixed).values()) < 1e-5


@pytest.mark.parametrize("frames", [1, 40])
def test_a_clip_without_any_detection_gets_finite_probabilities(
    session: onnxruntime.InferenceSession, model: EnsembleModel, frames: int
) -> None:
    inputs = random_inputs(model.shapes, 2, frames, np.random.default_rng(0))
    empty = inputs._replace(parts={part: torch.full_like(points, np.nan) for part, points in inputs.parts.items()})
    probs_BK = run_graph(session, empty)
    assert np.isfinite(probs_BK).all()
    assert np.allclose(probs_BK.sum(1), 1, atol=1e-5)


def test_one_detected_frame_gets_finite_probabilities(
    session: onnxruntime.InferenceSession, model: EnsembleModel
) -> None:
    inputs = random_inputs(model.shapes, 1, 20, np.random.default_rng(3))
    only = {part: torch.full_like(points, np.nan) for part, points in inputs.parts.items()}
    only["left_hand"][0, 11] = 0.1 * torch.rand(21, 3)
    assert np.isfinite(run_graph(session, inputs._replace(parts=only))).all()


def test_a_graph_of_other_weights_is_noticed(exported_run: Exported, model: EnsembleModel) -> None:
    flipped = [replaced(member) for member in model.groups[0]]
    other = EnsembleModel([flipped], [1.0]).eval()
    assert check_graph(exported_run.graph, other)["torch"] > TOLERANCE


def replaced(model: Recogniser) -> Recogniser:
    again = Recogniser(model.frontend, LstmConfig(dropout=0.2), 3)
    again.load_state_dict(model.state_dict() | {"model.head.weight": -model.state_dict()["model.head.weight"]})
    return again.eval()


def test_members_vote_with_their_weights_and_folds_evenly(mixed: EnsembleModel) -> None:
    inputs = random_inputs(SHAPES, 3, 9, np.random.default_rng(0))
    first, second = mixed.groups
    with torch.no_grad():
        votes = [model(inputs).softmax(1) for model in (*first, *second)]
        expected = 0.375 * votes[0] + 0.375 * votes[1] + 0.25 * votes[2]
        assert torch.allclose(mixed(*inputs.flat()), expected, atol=1e-6)


def test_the_ensemble_holds_the_weights_of_every_fold(trained_run: Location, model: EnsembleModel) -> None:
    (group,) = model.groups
    assert len(group) == runs.read_run(trained_run).num_folds
    for fold, member in enumerate(group):
        stored = runs.read_fold_weights(trained_run, fold)
        assert all(torch.equal(weight, stored[name]) for name, weight in member.state_dict().items())
    assert not model.training


def test_trial_inputs_cover_padding_gaps_and_clips_without_hands() -> None:
    inputs = random_inputs(SHAPES, 8, 31, np.random.default_rng(0))
    points = inputs.parts["left_hand"][:, :, 0, 0].isnan()
    assert int(inputs.lengths[0]) == 31 > int(inputs.lengths.min())
    assert points[-1].all()
    assert points[0].any()
    assert not points[0].all()
