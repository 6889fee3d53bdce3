"""The traps that were found when exporting was tried, each where it can be caught without an export.

If these fail, one of them is open again. Others have their test beside what closes it: a second LSTM export freezes its
sizes and a member's folds are left out (test_trace), dynamic scales, LSTMs that stay in fp32 and value_info of folded
graphs (test_precision), tiny constants (test_tail), crashes (test_survive), collapse (test_gate).
"""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sigflow.export import EnsembleModel, Exported, random_inputs
from sigflow.export.repeat import free_weights, output_name, repeat_folds
from sigflow.export.trials import padded
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.resample import Resampling
from sigflow.models.bilstm import BilstmConfig
from sigflow.models.conv_transformer import ConvTransformerConfig
from sigflow.models.inception import InceptionConfig
from sigflow.models.recogniser import ModelConfig
from tests.export.conftest import untrained

MOVING = Frontend(features=(HandFeatures(),), resampling=Resampling(num_frames=None))


@pytest.mark.parametrize(
    "config", [BilstmConfig(per_frame=False, hidden=(6,)), ConvTransformerConfig(), InceptionConfig()],
    ids=["bidirectional LSTM", "convolutions and attention", "stacked convolutions"],
)  # fmt: skip
def test_trap_padding_changes_nothing_in_models_that_look_ahead(config: ModelConfig) -> None:
    """It moved a plain BiLSTM by 2e-2 and stacked convolutions by 3e-2; then batching would change answers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = EnsembleModel([untrained(MOVING, config)], [1.0]).eval()
    inputs = random_inputs(model.shapes, 6, 40, np.random.default_rng(0))
    with torch.no_grad():
        assert torch.allclose(model(*padded(inputs, 29).flat()), model(*inputs.flat()), atol=1e-5)


class Scores(nn.Module):
    """A fold model of three classes."""

    offset: torch.Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.from_numpy(np.random.default_rng(seed).normal(size=3).astype(np.float32)))


class Traced(nn.Module):
    def __init__(self, models: list[Scores]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)


def test_trap_merging_four_members_keeps_names_apart_and_gives_the_mean() -> None:
    """Names that two members share would join their nodes; the error of a right merge is that of float32."""
    members = [Scores(seed) for seed in range(4)]
    nodes, outputs = [], []
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])
    for number in range(4):
        nodes += [
            helper.make_node("Add", ["x", f"models.{number}.offset"], [f"logits{number}"], f"add{number}"),
            helper.make_node("Softmax", [f"logits{number}"], [output_name(number)], f"softmax{number}", axis=-1),
        ]
        outputs.append(helper.make_tensor_value_info(output_name(number), TensorProto.FLOAT, ["batch", 3]))
    values = [
        numpy_helper.from_array(member.offset.numpy(), f"models.{k}.offset")
        for k, member in enumerate(members)
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "four", [x], outputs, values)
    free_weights(graph, Traced(members))
    merged = repeat_folds(graph, [[member] for member in members], [0.25] * 4)
    names = Counter(name for node in merged.node for name in (node.name, *node.output) if name)
    assert max(names.values()) == 1
    program = helper.make_model(merged, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(program, full_check=True)
    x_B3 = np.random.default_rng(9).normal(size=(5, 3)).astype(np.float32)
    session = onnxruntime.InferenceSession(program.SerializeToString(), providers=["CPUExecutionProvider"])
    (probs_BK,) = session.run(["probs"], {"x": x_B3})
    expected = np.mean([torch.softmax(torch.from_numpy(x_B3) + m.offset, -1).numpy() for m in members], 0)
    assert np.abs(probs_BK - expected).max() < 1e-6


def test_trap_operators_without_a_faithful_export_are_not_in_the_graph(exported_run: Exported) -> None:
    """atan2 differs on its cut, and a Loop or Scan would be how a frozen or slow LSTM comes out."""
    operators = {node.op_type for node in onnx.load_from_string(exported_run.graph).graph.node}
    assert "LSTM" in operators
    assert not operators & {"Atan", "Loop", "Scan", "If"}


@pytest.mark.parametrize(
    "level", [onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL]
)
def test_trap_onnxruntimes_own_optimiser_changes_no_answer(
    exported_run: Exported, level: onnxruntime.GraphOptimizationLevel
) -> None:
    """An fp16 transformer crashed at ENABLE_ALL; fp32 answers must be those of no optimisation at all."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    inputs = random_inputs(dict.fromkeys(exported_run.parts, (21, 3)), 4, 30, np.random.default_rng(5))
    names = (*exported_run.parts, "time_s", "aspect", "lengths")
    feed = {name: tensor.numpy() for name, tensor in zip(names, inputs.flat(), strict=True)}
    mine, plain = (
        onnxruntime.InferenceSession(exported_run.graph, each, providers=["CPUExecutionProvider"]).run(["probs"], feed)[
            0
        ]
        for each in (options, onnxruntime.SessionOptions())
    )
    assert np.allclose(mine, plain, atol=1e-5)
