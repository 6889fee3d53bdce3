"""If these fail, a fold's answer is computed with another fold's weights, or what cannot be repeated is repeated."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sigflow.errors import UserError
from sigflow.export.repeat import free_weights, repeat_folds


class Factor(nn.Module):
    """A fold model."""

    def __init__(self, factor: float | list[float]) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))


class Traced(nn.Module):
    def __init__(self, *models: nn.Module) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)


GROUPS = ((Factor(1.0), Factor(3.0)), (Factor(10.0),))


def two_members(*, second: onnx.NodeProto | None = None) -> onnx.GraphProto:
    """Features are twice x; each member multiplies them by its factor; `second` makes the second's output."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["features"], "add"),
        helper.make_node("Mul", ["features", "models.0.factor"], ["member0"], "mul0"),
        second or helper.make_node("Mul", ["features", "models.1.factor"], ["member1"], "mul1"),
    ]
    x, *members = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "member0", "member1"))
    initial = [
        numpy_helper.from_array(np.array(value, np.float32), f"models.{number}.factor")
        for number, value in enumerate((1, 10))
    ]
    graph = helper.make_graph(nodes, "two", [x], members, initial)
    free_weights(graph, Traced(GROUPS[0][0], GROUPS[1][0]))
    return graph


def test_each_fold_counts_with_its_own_weights_and_features_stand_there_once() -> None:
    graph = repeat_folds(two_members(), GROUPS, (0.75, 0.25))
    program = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(program, full_check=True)
    session = onnxruntime.InferenceSession(program.SerializeToString(), providers=["CPUExecutionProvider"])
    (probs,) = session.run(["probs"], {"x": np.ones(1, np.float32)})
    assert probs == 0.75 * (2 * 1 + 2 * 3) / 2 + 0.25 * 2 * 10
    assert [value.name for value in graph.input] == ["x"]
    assert [node.op_type for node in graph.node].count("Add") == 1


def test_a_node_of_two_members_is_refused() -> None:
    both = helper.make_node("Mul", ["member0", "models.1.factor"], ["member1"], "both")
    with pytest.raises(UserError, match=r"'both' \(Mul\) .* weights of several members, \[1, 2\]"):
        repeat_folds(two_members(second=both), GROUPS, (0.75, 0.25))


def test_one_model_in_two_members_is_refused() -> None:
    same = helper.make_node("Mul", ["features", "models.0.factor"], ["member1"], "same")
    with pytest.raises(UserError, match="member 2 hangs on no weights of its own; give the ensemble each model once"):
        repeat_folds(two_members(second=same), GROUPS, (0.75, 0.25))


def test_a_branch_whose_body_may_name_weights_is_refused() -> None:
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    body = helper.make_graph([helper.make_node("Identity", ["models.1.factor"], ["out"])], "body", [], [output])
    branch = helper.make_node("If", ["x"], ["member1"], "branch", then_branch=body, else_branch=body)
    with pytest.raises(UserError, match=r"'branch' \(If\) .* has a body of its own.*without branches"):
        repeat_folds(two_members(second=branch), GROUPS, (0.75, 0.25))


def test_inputs_and_outputs_that_are_left_out_stay_so() -> None:
    clip = helper.make_node("Clip", ["member0/split", "", "models.0.factor"], ["member0"], "clip")
    graph = two_members()
    graph.node[1].CopyFrom(helper.make_node("Dropout", ["models.0.factor"], ["member0/split", ""], "dropout"))
    graph.node.insert(2, clip)
    nodes = {node.name: node for node in repeat_folds(graph, GROUPS, (0.75, 0.25)).node}
    assert list(nodes["fold1/dropout"].output) == ["fold1/member0/split", ""]
    assert list(nodes["fold1/clip"].input) == ["fold1/member0/split", "", "fold1/models.0.factor"]


@pytest.mark.parametrize(("other", "found"), [(Factor([1.0, 2.0]), r"has shape \(2,\)"), (nn.Module(), "is missing")])
def test_fold_models_that_are_not_alike_are_refused(other: nn.Module, found: str) -> None:
    with pytest.raises(UserError, match=f"'factor' {found} in fold 1's model"):
        repeat_folds(two_members(), ((GROUPS[0][0], other), GROUPS[1]), (0.75, 0.25))
