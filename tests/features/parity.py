"""Whether a feature alone gives the same numbers in an exported graph as in torch."""

import io
import logging
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from sigflow.export import random_inputs
from sigflow.features.inputs import Inputs, from_flat, input_names
from sigflow.topology import INPUT_SHAPES

_SIZES = ((1, 1), (1, 7), (2, 30), (3, 64), (8, 31), (16, 120))  # batch, frames


class _Graph(nn.Module):
    def __init__(self, function: Callable[[Inputs], Tensor], parts: Sequence[str]) -> None:
        super().__init__()
        self.function, self.parts = function, tuple(parts)

    def forward(self, *flat: Tensor) -> Tensor:
        return self.function(from_flat(self.parts, flat))


def check_parity(function: Callable[[Inputs], Tensor], parts: Sequence[str]) -> float:
    """Export `function` with dynamic batch and frames; the largest difference over six sizes, asserted to be <= 1e-4.

    Clips have random lengths and gaps, are padded, and the last of a batch has no detection at all. NaN must be
    in the same places. A difference counts in units of max(1, the column's largest number), since float32 has seven
    digits, and a model reads columns by their standard deviation.
    """
    session = onnxruntime.InferenceSession(_export(_Graph(function, parts).eval()), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    worst = 0.0
    for batch, frames in _SIZES:
        inputs = _draw(parts, batch, frames, rng)
        feed = {name: t.numpy() for name, t in zip(input_names(parts), inputs.flat(), strict=True)}
        given = session.run(["values"], feed)[0]
        expected = function(inputs).numpy()
        assert np.array_equal(np.isnan(given), np.isnan(expected)), f"NaN in other places for {batch} x {frames}"
        difference = np.abs(given - expected) / np.nanmax(np.abs(expected), axis=(0, 1), initial=1)
        worst = max(worst, float(np.nan_to_num(difference, posinf=np.inf).max()))
    assert worst <= 1e-4
    return worst


def _draw(parts: Sequence[str], batch: int, frames: int, rng: np.random.Generator) -> Inputs:
    return random_inputs({part: INPUT_SHAPES.get(part, (5,)) for part in parts}, batch, frames, rng)


def _export(graph: _Graph) -> bytes:
    names = input_names(graph.parts)
    batch, frames = torch.export.Dim("batch"), torch.export.Dim("frames")
    shapes = tuple({0: batch} if name in ("aspect", "lengths") else {0: batch, 1: frames} for name in names)
    example = _draw(graph.parts, 2, 16, np.random.default_rng(0))
    for noisy in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on its own internals
        program = torch.onnx.export(
            graph, example.flat(), input_names=names, output_names=["values"],
            dynamic_shapes=(shapes,), dynamo=True, opset_version=20, verbose=False,
        )  # fmt: skip
    stream = io.BytesIO()
    assert program is not None
    onnx.save(program.model_proto, stream)
    return stream.getvalue()
