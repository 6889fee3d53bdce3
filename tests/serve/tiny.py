"""A bundle that is there in milliseconds, for tests of what surrounds a model. Its answer: the mean point of all."""

import onnx
from onnx import TensorProto, helper

from sigflow.bundle import Bundle, GraphTensor, Manifest

LABELS = ("x", "y", "z")


def tiny_bundle(name: str = "tiny") -> Bundle:
    """Of one part, the right hand, so that it reads every body."""
    sizes: dict[str, tuple[int | str, ...]] = {
        "right_hand": ("batch", "frames", 21, 3), "time_s": ("batch", "frames"), "aspect": ("batch",),
        "lengths": ("batch",),
    }  # fmt: skip
    manifest = Manifest(
        name=name, version="1", created="2025-01-01T00:00:00+00:00", labels=LABELS, parts=("right_hand",),
        inputs=tuple(GraphTensor(name=each, dtype="", shape=shape) for each, shape in sizes.items()),
        extractor="", recipes=(), members=({"run": "none", "weight": 1.0},), metrics={}, parity={},
    )  # fmt: skip
    return Bundle(manifest=manifest, graph=_graph(sizes), precision="fp32")


def _graph(sizes: dict[str, tuple[int | str, ...]]) -> bytes:
    nodes = [
        helper.make_node("IsNaN", ["right_hand"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "right_hand"], ["there"]),
        helper.make_node("ReduceMean", ["there", "axes"], ["mean"], keepdims=0),
        helper.make_node("Softmax", ["mean"], ["probs"]),
    ]
    kinds = {"lengths": TensorProto.INT64}
    inputs = [
        helper.make_tensor_value_info(each, kinds.get(each, TensorProto.FLOAT), shape) for each, shape in sizes.items()
    ]
    outputs = [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ("batch", 3))]
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, (), [0.0]),
        helper.make_tensor("axes", TensorProto.INT64, (2,), [1, 2]),
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    made: bytes = model.SerializeToString()
    return made
