"""An ensemble to one ONNX graph: raw landmarks in, probabilities out, the same numbers as torch gives.

Shape suffixes: B batch, T frames, P points, K classes.
"""

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from sigflow import runs
from sigflow.bundle import GraphInput
from sigflow.ensemble import Ensemble
from sigflow.errors import UserError
from sigflow.features.frontend import compute_features, input_shapes
from sigflow.features.inputs import Inputs, from_flat, input_names
from sigflow.models.recogniser import Recogniser

TOLERANCE = 1e-4  # of a probability
_OPSET = 20
_TRIALS = ((1, 1), (1, 7), (2, 30), (3, 64), (8, 31), (16, 120))  # batch, frames


class EnsembleModel(nn.Module):
    """Weighted average of the members' probabilities. A member's fold models share its features."""

    def __init__(self, groups: Sequence[Sequence[Recogniser]], weights: Sequence[float]) -> None:
        super().__init__()
        self.groups = [tuple(group) for group in groups]
        self.weights = tuple(weights)
        self.shapes = input_shapes([group[0].frontend for group in self.groups])
        self.models = nn.ModuleList(model for group in groups for model in group)  # so that torch knows their weights

    def forward(self, *flat: Tensor) -> Tensor:
        """Inputs in the order of `input_names` to probabilities (B, K), or (B, T, K) of frames for sentences."""
        inputs = from_flat(tuple(self.shapes), flat)
        total = torch.zeros(())
        for group, weight in zip(self.groups, self.weights, strict=True):
            sequences = compute_features(inputs, group[0].frontend)
            for model in group:
                total = total + model.classify(sequences).softmax(-1) * (weight / len(group))
        return total


@dataclass(frozen=True)
class Exported:
    """The graph, what goes in, and the largest differences that were seen."""

    graph: bytes
    parts: tuple[str, ...]
    inputs: tuple[GraphInput, ...]
    parity: dict[str, float]


def export(ensemble: Ensemble) -> Exported:
    """Export and check: torch against onnxruntime, padding and batch invariance, finite without any detection.

    Raises:
        UserError: a check failed; nothing should be served then.
    """
    model = ensemble_model(ensemble)
    graph = to_onnx(model)
    inputs = graph_inputs(graph)
    parity = check_graph(graph, model)
    if max(parity.values()) > TOLERANCE:
        raise UserError(
            f"the exported graph differs from torch: {parity}, more than {TOLERANCE}; do not serve it, report it"
        )
    return Exported(graph, tuple(model.shapes), inputs, parity)


def ensemble_model(ensemble: Ensemble) -> EnsembleModel:
    """The members' fold models from their runs, ready to predict."""
    groups = []
    for member in ensemble.members:
        group = []
        for fold in range(member.run.num_folds):
            recipe = member.run.recipe
            model = Recogniser(recipe.frontend, recipe.model, len(ensemble.labels))
            model.load_state_dict(runs.read_fold_weights(member.place, fold))
            group.append(model.eval())
        groups.append(group)
    return EnsembleModel(groups, [member.weight for member in ensemble.members]).eval()


def to_onnx(model: EnsembleModel) -> bytes:
    """One graph with dynamic batch and frames."""
    example = random_inputs(model.shapes, 2, 16, np.random.default_rng(0))
    names = input_names(tuple(model.shapes))
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    shapes = tuple({0: batch} if name in ("aspect", "lengths") else {0: batch, 1: frames} for name in names)
    for noisy in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on its own internals
        program = torch.onnx.export(
            model, example.flat(), input_names=names, output_names=["probs"],
            dynamic_shapes=(shapes,), dynamo=True, opset_version=_OPSET, verbose=False,
        )  # fmt: skip
    stream = io.BytesIO()
    assert program is not None
    onnx.save(program.model_proto, stream)
    graph = stream.getvalue()
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    return graph


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
            "padding": run_graph(session, _padded(inputs, 13)),
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


def random_inputs(shapes: Mapping[str, tuple[int, ...]], batch: int, frames: int, rng: np.random.Generator) -> Inputs:
    """Clips of random length up to `frames` with gaps; the first is full length, the last has no detection at all."""
    lengths = rng.integers(1, frames + 1, batch)
    lengths[0] = frames
    beyond = np.arange(frames) >= lengths[:, None]
    points = {}
    for name, shape in shapes.items():
        walk = rng.uniform(0.2, 0.8, (batch, 1, *shape)) + rng.normal(0, 0.02, (batch, frames, *shape)).cumsum(1)
        missing = beyond | (rng.random((batch, frames)) < 0.2)
        missing[-1] |= batch > 1
        walk[missing] = np.nan
        points[name] = torch.from_numpy(walk.astype(np.float32))
    times = np.where(beyond, np.nan, np.cumsum(rng.uniform(0.01, 0.08, (batch, frames)), 1)).astype(np.float32)
    aspect = torch.from_numpy(rng.uniform(0.5, 2.0, batch).astype(np.float32))
    return Inputs(points, torch.from_numpy(times), aspect, torch.from_numpy(lengths))


def _padded(inputs: Inputs, extra: int) -> Inputs:
    def pad(tensor: Tensor) -> Tensor:
        filler = torch.full((tensor.shape[0], extra, *tensor.shape[2:]), float("nan"))
        return torch.cat([tensor, filler], 1)

    return Inputs(
        {part: pad(points) for part, points in inputs.parts.items()},
        pad(inputs.time_s),
        inputs.aspect,
        inputs.lengths,
    )


def graph_inputs(graph: bytes) -> tuple[GraphInput, ...]:
    """What goes in, as the graph itself says.

    Raises:
        UserError: a size that should vary is fixed.
    """
    dtypes = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.INT64: "int64"}
    found = []
    for value in onnx.load_from_string(graph).graph.input:
        tensor = value.type.tensor_type
        shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
        expected = ("batch",) if value.name in ("aspect", "lengths") else ("batch", "frames")
        if shape[: len(expected)] != expected:  # the exporter can silently freeze a size
            raise UserError(
                f"the exporter froze the sizes of '{value.name}' to {shape}; do not serve this graph, report it"
            )
        found.append(GraphInput(name=value.name, dtype=dtypes[tensor.elem_type], shape=shape))
    return tuple(found)
