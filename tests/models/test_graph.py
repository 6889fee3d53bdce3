"""If these fail, the lip reader is not the network that was asked for, or nodes and edges got mixed up."""

import pytest
import torch
from torch import nn

from sigflow.errors import UserError
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.kinematics import Kinematics
from sigflow.features.lips import LipsFeatures
from sigflow.models.graph import (
    GraphAttention,
    GraphConfig,
    GraphConvolution,
    GraphModel,
    NodePart,
    adjacency,
    node_graph,
    normalise,
)
from sigflow.topology import HAND_EDGES, LIP_EDGES
from tests.models.parity import check_company, check_gradients, check_learns, check_parity, count, draw

# Two parts: three nodes in a row with velocity, and a pair; columns 6, 7 and 14, 15 belong to no node.
ROW = NodePart(3, 2, (slice(0, 6), slice(8, 14)), ((0, 1), (1, 2)))
PAIR = NodePart(2, 4, (slice(16, 24),), ((0, 1),))
SIZE = 24


def small(layer: str = "gcn", spatial: int = 8, temporal: int = 6) -> GraphModel:
    config = GraphConfig(layer=layer, spatial_dim=spatial, temporal_dim=temporal, dropout=0)  # type: ignore[arg-type]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GraphModel(config, SIZE, 3, (ROW, PAIR))


@pytest.mark.parametrize(
    ("dim", "layers", "low", "high"),
    [
        (256, 3, 0.95 * 3_453_796, 1.05 * 3_453_796),
        (128, 2, 0.95 * 858_212, 1.05 * 858_212),
        (192, 2, 1.5e6, 2e6),
    ],
)
def test_sizes_are_those_of_the_earlier_lip_readers(dim: int, layers: int, low: float, high: float) -> None:
    frontend = Frontend(features=(LipsFeatures(),))
    config = GraphConfig(spatial_dim=dim, temporal_dim=dim, spatial_layers=layers)
    assert low <= count(GraphModel(config, frontend.size, 100, node_graph(frontend))) <= high


def test_the_docstring_says_how_large_they_are() -> None:
    frontend = Frontend(features=(LipsFeatures(),))
    assert GraphConfig.__doc__ is not None
    for dim, layers in ((256, 3), (128, 2), (192, 2)):
        config = GraphConfig(spatial_dim=dim, temporal_dim=dim, spatial_layers=layers)
        assert f"{count(GraphModel(config, frontend.size, 100, node_graph(frontend))):,}" in GraphConfig.__doc__


def test_nodes_are_the_columns_of_lips_and_hands_with_their_motion() -> None:
    features = (LipsFeatures(distances=False), BodyFeatures(), HandFeatures(side="both"))
    frontend = Frontend(features=features, kinematics=Kinematics(velocity=True))
    lips, left, right = node_graph(frontend)
    assert (lips.num_nodes, lips.edges) == (55, LIP_EDGES)
    assert left.edges == right.edges == HAND_EDGES
    columns = frontend.slices
    assert right.columns == (columns["hand.right_hand"], columns["velocity_hand.right_hand"])
    start, motion = (where.start for where in right.columns)
    assert right.index[2] == [start + 6, start + 7, start + 8, motion + 6, motion + 7, motion + 8]
    one_hand = node_graph(Frontend(features=(HandFeatures(),)))
    assert [part.columns for part in one_hand] == [(slice(0, 63),)]


@pytest.mark.parametrize("feature", [BodyFeatures(), LipsFeatures(nodes=False)])
def test_features_without_nodes_are_refused_with_a_way_out(feature: BodyFeatures | LipsFeatures) -> None:
    with pytest.raises(UserError, match="add the feature"):
        node_graph(Frontend(features=(feature,)))


def test_neighbours_are_weighed_as_kipf_and_welling_do() -> None:
    joined = adjacency((ROW, PAIR))
    assert joined.int().tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1],
    ]
    share = normalise(joined)
    assert torch.allclose(share[0], torch.tensor([1 / 2, 6**-0.5, 0, 0, 0]))  # degrees with itself: 2, 3, 2, 2, 2
    assert torch.allclose(share[1, 1], torch.tensor(1 / 3))
    assert torch.allclose(share[3], torch.tensor([0, 0, 0, 0.5, 0.5]))


@pytest.mark.parametrize("layer", [GraphConvolution, GraphAttention])
def test_one_layer_hears_neighbours_and_nobody_else(layer: type[nn.Module]) -> None:
    joined = adjacency((ROW, PAIR))
    model = layer(4, 8, joined)
    x_BNPC = torch.randn(1, 1, 5, 4)
    before = model(x_BNPC)
    for node in range(5):
        other = x_BNPC.clone()
        other[0, 0, node] += 1.0
        changed = (model(other) - before)[0, 0].abs().amax(-1) > 1e-7
        assert changed.tolist() == joined[node].tolist()


def test_attention_is_a_softmax_over_neighbours_per_head() -> None:
    layer = GraphAttention(4, 8, adjacency((ROW,)))
    x_BNPC = torch.randn(1, 1, 3, 4)
    value = layer.linear(x_BNPC)[0, 0].unflatten(-1, (4, 2))
    score = layer.score_HS2
    for head in range(4):
        weights = [
            nn.functional.leaky_relu(value[0, head] @ score[head, :, 0] + value[j, head] @ score[head, :, 1], 0.2)
            for j in (0, 1)
        ]
        share = torch.stack(weights).softmax(0)
        expected = share[0] * value[0, head] + share[1] * value[1, head]
        assert torch.allclose(layer(x_BNPC)[0, 0, 0, 2 * head : 2 * head + 2], expected, atol=1e-6)


@pytest.mark.parametrize("layer", ["gcn", "attention"])
def test_numbering_the_nodes_otherwise_changes_nothing(layer: str) -> None:
    model = small(layer).eval()
    order = [2, 0, 1]  # new node i is old node order[i]
    place = [order.index(node) for node in range(3)]
    edges = tuple((place[a], place[b]) for a, b in ROW.edges)
    config = GraphConfig(layer=layer, spatial_dim=8, temporal_dim=6)  # type: ignore[arg-type]
    other = GraphModel(config, SIZE, 3, (NodePart(3, 2, ROW.columns, edges), PAIR)).eval()
    other.load_state_dict(model.state_dict())
    clips = draw(4, 9, SIZE)
    moved = clips.x_BNF.clone()
    for start in (0, 8):
        for new, old in enumerate(order):
            moved[..., start + 2 * new : start + 2 * new + 2] = clips.x_BNF[..., start + 2 * old : start + 2 * old + 2]
    assert torch.allclose(other(moved, *clips[1:]), model(*clips), atol=1e-5)
    assert not torch.allclose(other(*clips), model(*clips), atol=1e-3)


def test_every_column_counts_also_those_of_no_node() -> None:
    model = small().eval()
    clips = draw(1, 5, SIZE)
    x_BNF = clips.x_BNF.requires_grad_()
    model(x_BNF, *clips[1:]).square().sum().backward()
    assert x_BNF.grad is not None
    assert bool((x_BNF.grad.abs().sum((0, 1)) > 0).all())


@pytest.mark.parametrize("layer", ["gcn", "attention"])
def test_the_exported_graph_gives_torchs_numbers(layer: str) -> None:
    check_parity(small(layer), SIZE)


@pytest.mark.parametrize("layer", ["gcn", "attention"])
def test_neither_padding_nor_company_changes_an_answer(layer: str) -> None:
    check_company(small(layer), SIZE)


@pytest.mark.parametrize("layer", ["gcn", "attention"])
def test_every_weight_learns(layer: str) -> None:
    check_gradients(small(layer), SIZE)
    check_learns(small(layer, 16, 16), SIZE)


def test_columns_that_are_all_nodes_need_no_second_branch() -> None:
    frontend = Frontend(features=(HandFeatures(),))
    config = GraphConfig(spatial_dim=8, temporal_dim=6)
    model = GraphModel(config, frontend.size, 3, node_graph(frontend)).eval()
    assert model.others is None
    assert model(*draw(2, 4, frontend.size)).isfinite().all()


def test_attention_heads_must_fit_the_layers_size() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        GraphConfig(layer="attention", spatial_dim=10)
