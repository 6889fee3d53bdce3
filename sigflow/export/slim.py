"""A graph without what only the exporting machine needs: source paths, long names, opsets that nothing uses.

The exporter notes on every node where it comes from, with file names and lines of the machine that exports: up to
half of a small model's bytes, and nobody else's business.
"""

from itertools import count

import onnx

OF_FOLDS = "fold"  # how names of fold models' nodes begin, before and after


def slim(program: onnx.ModelProto) -> onnx.ModelProto:
    """The same computation in fewer bytes. Nodes of fold models are called fold<i>, those of the features n<i>."""
    graph = program.graph
    del program.metadata_props[:]
    del program.functions[:]
    del graph.metadata_props[:]
    del graph.value_info[:]  # inferred again wherever they are wanted
    program.doc_string = graph.doc_string = ""
    for value in (*graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    kept = {value.name for value in (*graph.input, *graph.output)}
    numbers, short = count(), {name: name for name in kept}

    def rename(name: str) -> str:
        if name and name not in short:  # an input that is left out has no name
            short[name] = f"v{next(numbers)}"
        return short.get(name, "")

    for number, node in enumerate(graph.node):
        assert all(attribute.type != onnx.AttributeProto.GRAPH for attribute in node.attribute)  # `repeat` refuses them
        del node.metadata_props[:]
        node.doc_string = ""
        node.name = f"{OF_FOLDS if node.name.startswith(OF_FOLDS) else 'n'}{number}"
        node.input[:] = [rename(name) for name in node.input]
        node.output[:] = [rename(name) for name in node.output]
    for value in graph.initializer:
        value.name = rename(value.name)
    used = {node.domain for node in graph.node}
    opsets = [opset for opset in program.opset_import if opset.domain in used]
    del program.opset_import[:]
    program.opset_import.extend(opsets)
    return program
