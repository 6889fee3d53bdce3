"""From a graph of each member's first fold model to one of all fold models.

Fold models of a member are the same computation with other weights. So the nodes that hang on a member's weights,
directly or not, are repeated for each of its folds; all others (the features) stand in the graph once.
"""

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor, nn

from sigflow.errors import UserError

PROBS, VOTES = "probs", "votes"
_WEIGHTS = "models."  # weights are called models.<member>.<their name in the fold model>


def output_name(member: int) -> str:
    """What the member's probabilities are called in the graph of first fold models."""
    return f"member{member}"


def free_weights(graph: onnx.GraphProto, traced: nn.Module) -> None:
    """Weights become inputs, so that the optimiser works nothing out that holds for one fold only.

    Args:
        graph: of `traced`.
        traced: has the first fold model of each member in `models`.

    Raises:
        UserError: a fold model holds a tensor that is no weight, so that other folds' cannot be found.
    """
    weights = _weights(traced)
    for value in list(graph.initializer):
        if value.name in weights:
            graph.initializer.remove(value)
            graph.input.append(helper.make_tensor_value_info(value.name, value.data_type, value.dims))
        elif _has(traced, value.name):
            raise UserError(f"the model's '{value.name}' is neither parameter nor buffer; make it a buffer")


def repeat_folds(
    graph: onnx.GraphProto, groups: Sequence[Sequence[nn.Module]], weights: Sequence[float]
) -> onnx.GraphProto:
    """`probs`: the mean over each member's fold models, weighted by `weights`; `votes`: the means themselves.

    Of sentences and of one member there are no votes.

    Args:
        graph: what `free_weights` made of the members' first fold models.
        groups: the fold models of each member.
        weights: of each member.

    Raises:
        UserError: a node hangs on two members or has a body of its own, or a member's fold models are not alike.
    """
    freed = [value for value in graph.input if value.name.startswith(_WEIGHTS)]
    # Which member each value hangs on.
    member = {value.name: int(value.name.removeprefix(_WEIGHTS).split(".")[0]) for value in freed}
    nodes, own = _split(graph, member, len(groups))
    used = {name for node in graph.node for name in node.input}
    initializers, means, totals = list(graph.initializer), [], []
    for number, (group, weight) in enumerate(zip(groups, weights, strict=True)):
        if member.get(output_name(number)) != number:
            raise UserError(f"member {number + 1} hangs on no weights of its own; give the ensemble each model once")
        mine = [value for value in freed if member[value.name] == number and value.name in used]
        for fold, model in enumerate(group):
            nodes += [_of_fold(node, fold, member) for node in own[number]]
            initializers += [_weight(value, fold, model) for value in mine]
        outputs = [_name(output_name(number), fold) for fold in range(len(group))]
        mean, share, total = (f"{output_name(number)}/{kind}" for kind in ("mean", "share", "total"))
        initializers.append(numpy_helper.from_array(np.array(weight, np.float32), share))
        nodes += [helper.make_node("Mean", outputs, [mean]), helper.make_node("Mul", [mean, share], [total])]
        means.append(mean)
        totals.append(total)
    nodes.append(helper.make_node("Sum", totals, [PROBS]))
    inputs = [value for value in graph.input if value.name not in member]
    probs = onnx.ValueInfoProto()
    probs.CopyFrom(graph.output[0])
    probs.name = PROBS
    given = [probs]
    if len(means) > 1 and len(probs.type.tensor_type.shape.dim) == 2:
        given.append(_votes(means, probs, nodes, initializers))
    return helper.make_graph(nodes, graph.name, inputs, given, initializers)


def _votes(
    means: Sequence[str], probs: onnx.ValueInfoProto, nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto]
) -> onnx.ValueInfoProto:
    """Each member's own probabilities, (B, members, K), before weights and temperature."""
    initializers.append(numpy_helper.from_array(np.array([1]), f"{VOTES}/axis"))
    rows = [f"{mean}/row" for mean in means]
    nodes += [
        helper.make_node("Unsqueeze", [mean, f"{VOTES}/axis"], [row]) for mean, row in zip(means, rows, strict=True)
    ]
    nodes.append(helper.make_node("Concat", rows, [VOTES], axis=1))
    batch, classes = probs.type.tensor_type.shape.dim
    return helper.make_tensor_value_info(
        VOTES, onnx.TensorProto.FLOAT, [batch.dim_param, len(means), classes.dim_value]
    )


def _split(
    graph: onnx.GraphProto, member: dict[str, int], count: int
) -> tuple[list[onnx.NodeProto], list[list[onnx.NodeProto]]]:
    """Nodes that hang on nobody's weights, and those of each member, whose outputs `member` learns."""
    shared: list[onnx.NodeProto] = []
    own: list[list[onnx.NodeProto]] = [[] for _ in range(count)]
    for node in graph.node:
        if any(
            attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for attribute in node.attribute
        ):
            raise UserError(
                f"'{node.name}' ({node.op_type}) of the exported graph has a body of its own, which cannot be repeated "
                "for each fold; write the model without branches and loops over values"
            )
        found = {member[name] for name in node.input if name in member}
        if len(found) > 1:
            raise UserError(
                f"'{node.name}' ({node.op_type}) of the exported graph hangs on the weights of several members, "
                f"{sorted(number + 1 for number in found)}; members must share no weights"
            )
        for number in found:
            own[number].append(node)
            member |= {value: number for value in node.output if value}  # one that is left out has no name
        if not found:
            shared.append(node)
    return shared, own


def _name(value: str, fold: int) -> str:
    return f"fold{fold}/{value}"


def _of_fold(node: onnx.NodeProto, fold: int, member: dict[str, int]) -> onnx.NodeProto:
    again = onnx.NodeProto()
    again.CopyFrom(node)
    again.name = _name(node.name, fold)
    again.input[:] = [_name(value, fold) if value in member else value for value in node.input]
    again.output[:] = [_name(value, fold) if value else value for value in node.output]
    return again


def _weight(value: onnx.ValueInfoProto, fold: int, model: nn.Module) -> onnx.TensorProto:
    """The fold's own numbers for a weight of the traced fold model."""
    name = value.name.removeprefix(_WEIGHTS).split(".", 1)[1]
    shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    tensor = _weights(model).get(name)
    if tensor is None or tensor.shape != shape:
        found = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise UserError(
            f"'{name}' {found} in fold {fold}'s model and has shape {shape} in the first fold's; "
            "fold models of a member must be alike"
        )
    return numpy_helper.from_array(tensor.detach().numpy(), _name(value.name, fold))


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, those of the latter too that are not saved."""
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _has(model: nn.Module, name: str) -> bool:
    """Whether there is an attribute of that dotted name."""
    try:
        attrgetter(name)(model)
    except AttributeError:
        return False
    return True
