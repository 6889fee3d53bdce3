"""Torch to ONNX. Tracing takes nearly all of the time, so one fold model of each member is traced, not every one."""

import logging
import warnings
from typing import cast

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from torch import Tensor, nn

from sigflow.export.model import EnsembleModel
from sigflow.export.repeat import free_weights, output_name, repeat_folds
from sigflow.export.slim import slim
from sigflow.export.tail import finish
from sigflow.export.trials import random_inputs
from sigflow.features.frontend import compute_features
from sigflow.features.inputs import from_flat, input_names
from sigflow.models.recogniser import Recogniser

_OPSET = 20


def to_onnx(model: EnsembleModel) -> bytes:
    """One graph with dynamic batch and frames. Beside `probs` it gives `votes` if it has several members, of sentences
    `log_probs`.

    Raises:
        UserError: members or fold models are not such that nodes can be repeated for each fold.
    """
    first_folds = _FirstFolds(model).eval()
    program = _trace(first_folds)
    free_weights(program.graph, first_folds)
    program = onnxscript.optimizer.optimize(program)
    program.graph.CopyFrom(repeat_folds(program.graph, model.groups, model.weights))
    finish(program.graph, model.temperature)
    slim(program)
    onnx.checker.check_model(program, full_check=True)  # with strict shape inference
    graph: bytes = program.SerializeToString()
    return graph


class _FirstFolds(nn.Module):
    """The first fold model of each member, which `repeat` knows by `models`."""

    def __init__(self, model: EnsembleModel) -> None:
        super().__init__()
        self.shapes = model.shapes
        self.models = nn.ModuleList(group[0] for group in model.groups)

    def forward(self, *flat: Tensor) -> tuple[Tensor, ...]:
        """Probabilities of each. Members with the same frontend share its features."""
        inputs = from_flat(tuple(self.shapes), flat)
        models = [cast(Recogniser, model) for model in self.models]
        frontends = dict.fromkeys(model.frontend for model in models)
        sequences = {frontend: compute_features(inputs, frontend) for frontend in frontends}
        return tuple(model.classify(sequences[model.frontend]).softmax(-1) for model in models)


def _trace(model: _FirstFolds) -> onnx.ModelProto:
    example = random_inputs(model.shapes, 2, 16, np.random.default_rng(0))
    names = input_names(tuple(model.shapes))
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    shapes = tuple({0: batch} if name in ("aspect", "lengths") else {0: batch, 1: frames} for name in names)
    for noisy in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on its own internals
        program = torch.onnx.export(
            model, example.flat(), input_names=names, output_names=[output_name(i) for i in range(len(model.models))],
            dynamic_shapes=(shapes,), dynamo=True, opset_version=_OPSET, verbose=False, optimize=False,
        )  # fmt: skip
    assert program is not None
    return program.model_proto
