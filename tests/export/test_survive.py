"""If these fail, a graph that crashes onnxruntime takes the export with it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sigflow.export import survive
from sigflow.export.survive import survives


def graph(operator: str) -> bytes:
    x, probs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "probs"))
    made = helper.make_graph([helper.make_node(operator, ["x"], ["probs"], "only")], "g", [x], [probs])
    program = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(program)
    serialised: bytes = program.SerializeToString()
    return serialised


ONES = {"x": np.ones(3, np.float32)}


def test_a_graph_that_runs_is_no_news() -> None:
    assert survives(graph("Exp"), [ONES, {"x": np.zeros(1, np.float32)}]) is None


def test_a_graph_that_onnxruntime_refuses_is_named_with_its_reason() -> None:
    assert "INVALID_PROTOBUF" in str(survives(b"no graph", [ONES]))
    assert "are missing from input feed" in str(survives(graph("Exp"), [{"y": np.ones(3, np.float32)}]))


def test_answers_that_are_no_numbers_are_refused() -> None:
    assert survives(graph("Log"), [{"x": -np.ones(3, np.float32)}]) == "it answers with numbers that are none"


def test_trap_a_crash_ends_the_child_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    crashing = f"{tmp_path}/crash.py"
    with open(crashing, "w") as file:
        file.write("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(survive, "__file__", crashing)
    assert survives(graph("Exp"), [ONES]) == "onnxruntime was killed by signal 11"


def test_one_that_never_ends_is_ended() -> None:
    assert survives(graph("Exp"), [ONES], seconds=0.01) == "onnxruntime did not end within 0 s"
