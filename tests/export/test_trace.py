"""If these fail, an ensemble's graph takes minutes for each fold again, or leaves some of its fold models out."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from sigflow.errors import UserError
from sigflow.export import EnsembleModel, check_graph, to_onnx
from sigflow.export.trials import random_inputs
from sigflow.features.frontend import Frontend
from sigflow.features.inputs import input_names
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser

RAW = Frontend(features=(RawFeatures(channels=2),), resampling=Resampling(num_frames=None))


class Traced(NamedTuple):
    graph: bytes
    calls: Counter[tuple[int, int]]  # of each fold model, by member and fold


@pytest.fixture(scope="module")
def traced(mixed: EnsembleModel) -> Traced:
    """A graph of `mixed`, the second that this process exports."""
    calls: Counter[tuple[int, int]] = Counter()
    hooks = [
        model.scaler.register_forward_pre_hook(lambda *_, key=(member, fold): calls.update([key]))
        for member, group in enumerate(mixed.groups)
        for fold, model in enumerate(group)
    ]
    graph = to_onnx(mixed)
    for hook in hooks:
        hook.remove()
    return Traced(graph, calls)


def test_two_members_of_three_folds_give_torchs_numbers(traced: Traced, mixed: EnsembleModel) -> None:
    assert [len(group) for group in mixed.groups] == [3, 3]
    assert max(check_graph(traced.graph, mixed).values()) < 1e-5


def test_votes_are_what_each_member_alone_says(traced: Traced, mixed: EnsembleModel) -> None:
    session = onnxruntime.InferenceSession(traced.graph, providers=["CPUExecutionProvider"])
    inputs = random_inputs(mixed.shapes, 3, 20, np.random.default_rng(0))
    names = input_names(tuple(inputs.parts))
    (votes_BMK,) = session.run(["votes"], {name: t.numpy() for name, t in zip(names, inputs.flat(), strict=True)})
    for number, group in enumerate(mixed.groups):
        alone = EnsembleModel([group], [1.0]).eval()
        own = inputs._replace(parts={part: inputs.parts[part] for part in alone.shapes})
        with torch.no_grad():
            alone_BK = alone(*own.flat()).numpy()
        assert np.abs(votes_BMK[:, number] - alone_BK).max() < 1e-5


def test_each_member_is_traced_once_whatever_its_folds(traced: Traced) -> None:
    assert traced.calls == {(0, 0): 1, (1, 0): 1}


def test_a_second_export_in_one_process_leaves_sizes_open_too(traced: Traced) -> None:
    program = onnx.load_from_string(traced.graph)
    dims = {
        value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim][:2] for value in program.graph.input
    }
    assert dims == {part: ["batch", "frames"] for part in ("left_hand", "right_hand", "time_s")} | {
        "aspect": ["batch"], "lengths": ["batch"],
    }  # fmt: skip


@pytest.mark.slow
def test_members_of_one_frontend_share_its_features_and_may_have_one_fold() -> None:
    folds = [Recogniser(RAW, LstmConfig(hidden=(3,), dense=2), 2) for _ in range(3)]
    model = EnsembleModel([folds[:1], folds[1:]], [0.4, 0.6]).eval()
    graph = to_onnx(model)
    assert max(check_graph(graph, model).values()) < 1e-5
    # Resampling sums once along the frames.
    assert sum(node.op_type == "CumSum" for node in onnx.load_from_string(graph).graph.node) == 1


class Plain(nn.Module):
    """A network with a tensor that torch does not know as its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 3)
        self.offset = torch.randn(3)

    def forward(self, x_BNF: torch.Tensor, lengths_B: torch.Tensor, seen_BN: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(x_BNF[:, 0]) + self.offset
        return logits


def test_a_tensor_that_other_folds_may_have_otherwise_is_refused() -> None:
    recogniser = Recogniser(RAW, LstmConfig(hidden=(3,), dense=2), 3)
    recogniser.model = Plain()
    with pytest.raises(UserError, match=r"'models\.0\.model\.offset' is neither parameter nor buffer"):
        to_onnx(EnsembleModel([[recogniser]], [1.0]).eval())
