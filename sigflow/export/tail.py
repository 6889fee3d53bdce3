"""What follows the members' average in the graph: temperature, and for sentences the logarithms.

Shape suffixes: B batch, T frames, K classes.
"""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from sigflow.export.model import SMALLEST
from sigflow.export.repeat import PROBS

LOG_PROBS = "log_probs"


def finish(graph: onnx.GraphProto, temperature: float) -> None:
    """`probs` divided by `temperature` in its logarithms; if it is (B, T, K), `log_probs` too, as beam searches take.

    Probabilities below `SMALLEST` count as that: a constant so small must not be added, as optimisers delete it.
    """
    if temperature != 1.0:
        for node in graph.node:
            node.output[:] = ["average" if name == PROBS else name for name in node.output]
        graph.initializer.append(_scalar("temperature", temperature))
        graph.node.extend(
            [
                *_logarithm(graph, "average", "average/log"),
                helper.make_node("Div", ["average/log", "temperature"], ["logits"], "divide"),
                helper.make_node("Softmax", ["logits"], [PROBS], "softmax", axis=-1),
            ]
        )
    if len(graph.output[0].type.tensor_type.shape.dim) == 3:
        graph.node.extend(_logarithm(graph, PROBS, LOG_PROBS))
        value = graph.output.add()
        value.CopyFrom(graph.output[0])
        value.name = LOG_PROBS


def _logarithm(graph: onnx.GraphProto, name: str, log: str) -> list[onnx.NodeProto]:
    graph.initializer.append(_scalar(f"{log}/smallest", SMALLEST))
    return [
        helper.make_node("Max", [name, f"{log}/smallest"], [f"{log}/positive"], f"{log}/max"),
        helper.make_node("Log", [f"{log}/positive"], [log], log),
    ]


def _scalar(name: str, value: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)
