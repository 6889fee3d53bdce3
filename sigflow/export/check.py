"""Whether a graph says what torch says, whatever the number and length of clips.

Shape suffixes: B batch, T frames, K classes.
"""

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from sigflow.bundle import GraphTensor
from sigflow.errors import UserError
from sigflow.export.model import EnsembleModel
from sigflow.export.trials import padded, random_inputs
from sigflow.features.inputs import Inputs, from_flat, input_names

TOLERANCE = 1e-4  # of a probability
_TRIALS = ((1, 1), (1, 7), (2, 30), (3, 64), (8, 31), (16, 120))  # batch, frames


def check_graph(graph: bytes, model: EnsembleModel) -> dict[str, float]:
    """Largest difference of a probability: against torch, when padded, and when batched, over several sizes."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    worst = {"torch": 0.0, "padding": 0.0, "batch": 0.0}
    for batch, frames in _TRIALS:
        inputs = random_inputs(model.shapes, batch, frames, rng)
        probs = run_graph(session, inputs)
        if not np.isfinite(probs).all() or np.abs(probs.sum(-1) - 1).max() > TOLERANCE:
            raise UserError(
                f"the exported graph gives no probabilities for {batch} clips of {frames} frames; do not serve it"
            )
        with torch.no_grad():
            expected = model(*inputs.flat()).numpy()
        one = from_flat(tuple(model.shapes), [tensor[:1] for tensor in inputs.flat()])
        others = {
            "torch": expected,
            "padding": run_graph(session, padded(inputs, 13)),
            "batch": run_graph(session, one),
        }
        for name, other in others.items():
            difference = _within(other, inputs.lengths, probs) - _within(probs[: len(other)], inputs.lengths, probs)
            worst[name] = max(worst[name], float(np.abs(difference).max()))
    return worst


def _within(probs: np.ndarray, lengths_B: Tensor, like: np.ndarray) -> np.ndarray:
    """Of sentences only the frames before each clip's end: what stands in the others means nothing."""
    if probs.ndim == 2:
        return probs
    beyond_BT = np.arange(like.shape[1]) >= lengths_B[: len(probs)].numpy()[:, None]
    return np.where(beyond_BT[:, :, None], 0.0, probs[:, : like.shape[1]])


def run_graph(session: onnxruntime.InferenceSession, inputs: Inputs) -> np.ndarray:
    """Probabilities (B, K), or (B, T, K) for sentences."""
    names = input_names(tuple(inputs.parts))
    probs: np.ndarray = session.run(["probs"], {name: t.numpy() for name, t in zip(names, inputs.flat(), strict=True)})[
        0
    ]
    return probs


def graph_inputs(graph: bytes) -> tuple[GraphTensor, ...]:
    """What goes in, as the graph itself says.

    Raises:
        UserError: a size that should vary is fixed.
    """
    found = []
    for value in onnx.load_from_string(graph).graph.input:
        dtype, shape = _type(value)
        expected = ("batch",) if value.name in ("aspect", "lengths") else ("batch", "frames")
        if shape[: len(expected)] != expected:  # the exporter can silently freeze a size
            raise UserError(
                f"the exporter froze the sizes of '{value.name}' to {shape}; do not serve this graph, report it"
            )
        found.append(GraphTensor(name=value.name, dtype=dtype, shape=shape))
    return tuple(found)


def graph_outputs(graph: bytes) -> tuple[GraphTensor, ...]:
    """What comes out, as the graph itself says."""
    found = []
    for value in onnx.load_from_string(graph).graph.output:
        dtype, shape = _type(value)
        found.append(GraphTensor(name=value.name, dtype=dtype, shape=shape))
    return tuple(found)


def _type(value: onnx.ValueInfoProto) -> tuple[str, tuple[int | str, ...]]:
    dtypes = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT64: "int64"}
    tensor = value.type.tensor_type
    return dtypes[tensor.elem_type], tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
