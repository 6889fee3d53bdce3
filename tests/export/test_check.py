"""If these fail, the served graph is not the trained model, or answers only clips of the exporter's own size."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sigflow.data.clips import load_clips
from sigflow.errors import UserError
from sigflow.export import TOLERANCE, EnsembleModel, Exported, check_graph, graph_inputs, random_inputs, run_graph
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser
from sigflow.storage import Location


def test_the_graph_gives_torchs_numbers(exported_run: Exported) -> None:
    assert exported_run.parts == ("left_hand", "right_hand")
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


def test_a_graph_for_one_number_of_frames_is_refused(exported_run: Exported) -> None:
    program = onnx.load_from_string(exported_run.graph)
    program.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 16
    with pytest.raises(UserError, match=r"froze the sizes of 'left_hand' to \('batch', 16, 21, 3\)"):
        graph_inputs(program.SerializeToString())


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


def test_a_graph_without_one_of_its_folds_is_noticed(exported_run: Exported, model: EnsembleModel) -> None:
    (group,) = model.groups
    other = EnsembleModel([[*group[:-1], replaced(group[-1])]], [1.0]).eval()
    assert check_graph(exported_run.graph, other)["torch"] > TOLERANCE


def replaced(model: Recogniser) -> Recogniser:
    again = Recogniser(model.frontend, LstmConfig(dropout=0.2), 3)
    again.load_state_dict(model.state_dict() | {"model.head.weight": -model.state_dict()["model.head.weight"]})
    return again.eval()
