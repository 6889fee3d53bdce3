"""If these fail, a temperature is not what was fitted, or beam searches get no logarithms."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from sigflow.export.model import SMALLEST, EnsembleModel
from sigflow.export.tail import finish
from sigflow.features.frontend import Frontend
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser

PROBS = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]], np.float32)


def run(probs: np.ndarray, temperature: float) -> dict[str, np.ndarray]:
    """A graph whose members' average is its input."""
    dims = ["batch", "frames", 3][-probs.ndim :] if probs.ndim == 3 else ["batch", 3]
    x, value = (helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("x", "probs"))
    graph = helper.make_graph([helper.make_node("Sum", ["x"], ["probs"], "sum")], "g", [x], [value])
    finish(graph, temperature)
    program = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(program, full_check=True)
    session = onnxruntime.InferenceSession(program.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"x": probs}), strict=True))


def test_without_a_temperature_probabilities_are_the_average_to_the_last_bit() -> None:
    assert np.array_equal(run(PROBS, 1.0)["probs"], PROBS)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_divides_the_logarithms(temperature: float) -> None:
    powers = np.maximum(PROBS, SMALLEST) ** (1 / temperature)
    assert np.allclose(run(PROBS, temperature)["probs"], powers / powers.sum(1, keepdims=True), atol=1e-6)


def test_trap_a_tiny_constant_is_not_deleted_so_that_certainty_stays_finite() -> None:
    """platform.md: `x + eps` disappears in the optimiser; the log of 0 would be minus infinity."""
    found = run(np.tile(PROBS, (1, 1, 1)), 3.0)
    assert np.isfinite(found["probs"]).all()
    assert np.isfinite(found["log_probs"]).all()
    assert run(PROBS[None], 1.0)["log_probs"][0, 1, 1] == pytest.approx(np.log(SMALLEST), abs=1e-4)


def test_sentences_have_logarithms_of_their_probabilities_and_classes_have_none() -> None:
    assert run(PROBS, 1.0).keys() == {"probs"}
    found = run(PROBS[None], 2.0)
    assert np.allclose(np.exp(found["log_probs"]), found["probs"], atol=1e-6)


def test_torch_and_graph_agree_on_the_temperature() -> None:
    frontend = Frontend(features=(RawFeatures(channels=2),), resampling=Resampling(num_frames=None))
    fold = Recogniser(frontend, LstmConfig(hidden=(3,), dense=2), 3).eval()
    flat = (torch.randn(2, 5, 2), torch.arange(5.0).repeat(2, 1) / 25, torch.ones(2), torch.tensor([5, 3]))
    with torch.no_grad():
        plain, warm = (EnsembleModel([[fold]], [1.0], temperature).eval()(*flat) for temperature in (1.0, 1.7))
    assert np.allclose(run(plain.numpy(), 1.7)["probs"], warm.numpy(), atol=1e-6)
