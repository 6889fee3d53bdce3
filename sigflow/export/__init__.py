"""An ensemble to one ONNX graph: raw landmarks in, probabilities out, the same numbers as torch gives."""

from dataclasses import dataclass

from sigflow.bundle import GraphTensor
from sigflow.ensemble import Ensemble
from sigflow.errors import UserError
from sigflow.export.check import TOLERANCE, check_graph, graph_inputs, graph_outputs, run_graph
from sigflow.export.model import EnsembleModel, ensemble_model
from sigflow.export.trace import to_onnx
from sigflow.export.trials import random_inputs

__all__ = [
    "TOLERANCE",
    "EnsembleModel",
    "Exported",
    "check_graph",
    "ensemble_model",
    "export",
    "graph_inputs",
    "graph_outputs",
    "random_inputs",
    "run_graph",
    "to_onnx",
]


@dataclass(frozen=True)
class Exported:
    """The fp32 graph, what goes in and comes out, and the largest differences that were seen."""

    graph: bytes
    parts: tuple[str, ...]
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    temperature: float
    parity: dict[str, float]


def export(ensemble: Ensemble) -> Exported:
    """Export and check: torch against onnxruntime, padding and batch invariance, finite without any detection.

    Raises:
        UserError: a check failed; nothing should be served then.
    """
    model = ensemble_model(ensemble)
    graph = to_onnx(model)
    inputs = graph_inputs(graph)
    parity = check_graph(graph, model)
    if max(parity.values()) > TOLERANCE:
        raise UserError(
            f"the exported graph differs from torch: {parity}, more than {TOLERANCE}; do not serve it, report it"
        )
    return Exported(graph, tuple(model.shapes), inputs, graph_outputs(graph), model.temperature, parity)
