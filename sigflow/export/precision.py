"""The fp32 graph with smaller numbers: fp16, int8. Whether one may be served is for `gate` to say.

Only weights of the members' MatMul, Gemm and LSTM nodes are touched (fp16: all weights), never convolutions, which lose
speed and accuracy, nor features, whose coordinates and times need all their digits.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from sigflow.bundle import PrecisionName
from sigflow.errors import UserError
from sigflow.export.slim import OF_FOLDS, slim

Feed = Mapping[str, np.ndarray]

# In the order in which they are tried; the first that holds up is taken.
# weights: stored small, computed in fp32, so nothing depends on other clips. fp16 has no other: onnxruntime's CPU
# kernels gain nothing from it, and a transformer in fp16 was seen to crash it.
# static: inputs of MatMul and Gemm in int8 too, with scales from calibration clips; LSTM as of weights.
# dynamic: inputs of all three in int8, with scales that cover the batch: fastest for large LSTMs, but a clip's answer
# hangs a little on the clips that are asked about with it.
METHODS: Mapping[PrecisionName, tuple[str, ...]] = {
    "fp16": ("weights",),
    "int8": ("weights", "static", "dynamic"),
}
_LEAST = 256  # numbers in a weight: smaller ones are not worth their scales
_INT8 = 127


def lower(graph: bytes, precision: PrecisionName, method: str, calibration: Sequence[Feed]) -> bytes:
    """The graph in another precision, by one of its `METHODS`. `calibration`: batches of training clips.

    Raises:
        UserError: there is nothing in the graph that could be made smaller, or nothing to calibrate with.
    """
    program = _halved(onnx.load_from_string(graph)) if precision == "fp16" else _quantised(graph, method, calibration)
    own = any(opset.domain == "com.microsoft" for opset in slim(program).opset_import)
    onnx.checker.check_model(program, full_check=not own)  # onnx knows no shapes of onnxruntime's own operators
    smaller: bytes = program.SerializeToString()
    return smaller


def _halved(program: onnx.ModelProto) -> onnx.ModelProto:
    for value in _weights(program.graph):
        weight = numpy_helper.to_array(value)
        if np.abs(weight).max() > np.finfo(np.float16).max:
            raise UserError("a weight is larger than fp16 can hold")
        _replace(program.graph, value, [weight.astype(np.float16)], "Cast", to=onnx.TensorProto.FLOAT)
    return program


def _quantised(graph: bytes, method: str, calibration: Sequence[Feed]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, folded, small = (str(Path(folder) / name) for name in ("source", "folded", "small"))
        Path(source).write_bytes(graph)
        # Each fold's LSTM weights are put together from torch's by nodes; folded, they are constants.
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        program = onnx.load(folded)
        del program.graph.value_info[:]  # on transformers it is wrong after folding, and quantising then fails
        onnx.save(program, folded)
        constant = {value.name for value in _weights(program.graph)}
        nodes = [node for node in program.graph.node if node.name.startswith(OF_FOLDS) and node.input[1:2]]
        dense = [n.name for n in nodes if n.op_type in ("MatMul", "Gemm") and n.input[1] in constant]
        recurrent = [n.name for n in nodes if n.op_type == "LSTM" and n.input[1] in constant]
        if not dense and not recurrent:
            raise UserError("no MatMul, Gemm or LSTM has weights of a size worth quantising")
        if method == "dynamic":
            quantize_dynamic(
                folded, small, op_types_to_quantize=["MatMul", "Gemm", "LSTM"], nodes_to_quantize=dense + recurrent,
                per_channel=True, weight_type=QuantType.QInt8,
            )  # fmt: skip
            return onnx.load(small)
        if method == "weights":
            return _small_weights(program, {*dense, *recurrent})
        if not calibration:
            raise UserError("no training clips to calibrate with")
        if dense:
            quantize_static(
                folded, small, _Batches(calibration), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["MatMul", "Gemm"], nodes_to_quantize=dense,
                per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]},
            )  # fmt: skip
            program = onnx.load(small)
        return _small_weights(program, set(recurrent))


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Calibration clips as onnxruntime asks for them."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next batch."""
        return next(self._feeds, None)


def _small_weights(program: onnx.ModelProto, names: set[str]) -> onnx.ModelProto:
    """Weights of the named nodes as int8 with a scale for each output, which the graph multiplies out again."""
    axes: dict[str, int] = {}
    for node in program.graph.node:
        if node.name in names:
            if node.op_type == "LSTM":  # directions, four gates of each unit, inputs: a scale for each gate
                axes |= dict.fromkeys(node.input[1:3], 1)
            else:
                turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
                axes[node.input[1]] = 0 if turned else -1
    for value in _weights(program.graph):
        if value.name in axes:
            weight = numpy_helper.to_array(value)
            axis = axes[value.name] % weight.ndim
            others = tuple(other for other in range(weight.ndim) if other != axis)
            scale = np.maximum(np.abs(weight).max(others), np.finfo(np.float32).tiny * _INT8) / _INT8
            small = np.rint(weight / np.expand_dims(scale, others)).astype(np.int8)
            _replace(program.graph, value, [small, scale.astype(np.float32)], "DequantizeLinear", axis=axis)
    return program


def _weights(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Large float constants that fold models alone read."""
    shared = {name for node in graph.node if not node.name.startswith(OF_FOLDS) for name in node.input}
    return [
        value
        for value in graph.initializer
        if value.data_type == onnx.TensorProto.FLOAT and np.prod(value.dims) >= _LEAST and value.name not in shared
    ]


def _replace(
    graph: onnx.GraphProto, value: onnx.TensorProto, parts: Sequence[np.ndarray], operator: str, **attributes: int
) -> None:
    """Instead of the weight a node in front that makes it out of `parts`."""
    names = [f"{value.name}/{number}" for number in range(len(parts))]
    node = helper.make_node(operator, names, [value.name], f"{OF_FOLDS}/{value.name}", **attributes)
    graph.initializer.extend(numpy_helper.from_array(part, name) for part, name in zip(parts, names, strict=True))
    graph.initializer.remove(value)
    graph.node.insert(0, node)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tools' advice to use tools that have been used; they log to the root logger."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
