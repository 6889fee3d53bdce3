"""If these fail, a bundle tells where its exporter keeps files, or is twice as large as it must be."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from sigflow.export import Exported
from sigflow.export.slim import slim


def noted() -> onnx.ModelProto:
    """y = 2 * clip(x, no minimum, 3), with notes of the exporting machine on everything."""
    nodes = [
        helper.make_node("Clip", ["x", "", "models.0.upper"], ["models/clipped"], "fold0/clip"),
        helper.make_node("Add", ["models/clipped", "models/clipped"], ["y"], "node_add_17", doc_string="/src/model.py"),
    ]
    for node in nodes:
        entry = node.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.stack_trace", 'File "/src/model.py", line 3'
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "y"))
    upper = numpy_helper.from_array(np.array(3, np.float32), "models.0.upper")
    graph = helper.make_graph(nodes, "g", [x], [y], [upper], doc_string="/src/model.py")
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("pkg.unused", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, doc_string="/src/model.py")


def run(program: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(program.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(["y"], {"x": np.array([1, 5], np.float32)})
    return np.asarray(y)


def test_notes_go_and_answers_stay() -> None:
    program = slim(noted())
    onnx.checker.check_model(program, full_check=True)
    assert b"/src" not in program.SerializeToString()
    assert np.array_equal(run(program), [2, 6])
    assert np.array_equal(run(noted()), [2, 6])
    assert [opset.domain for opset in program.opset_import] == [""]


def test_nodes_say_whose_they_are_and_doing_it_again_changes_nothing() -> None:
    program = slim(noted())
    assert [node.name for node in program.graph.node] == ["fold0", "n1"]
    assert program.graph.node[0].input[1] == ""
    once = program.SerializeToString()
    assert slim(program).SerializeToString() == once


def test_an_exported_graph_holds_nothing_of_the_machine_that_exported_it(exported_run: Exported) -> None:
    for trace in (b".py", b"site-packages", str(Path(__file__).parents[2]).encode(), sys.prefix.encode(), b"stack"):
        assert trace not in exported_run.graph
