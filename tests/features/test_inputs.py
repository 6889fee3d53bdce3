"""If these fail, the exported graph gets one part's landmarks as another's."""

import torch

from sigflow.features.inputs import Inputs, from_flat, input_names


def batch() -> Inputs:
    parts = {name: torch.rand(2, 5, 21, 3) for name in ("left_hand", "right_hand")}
    return Inputs(parts, torch.rand(2, 5), torch.rand(2), torch.tensor([5, 3]))


def test_names_and_tensors_of_the_graph_stand_in_the_same_order() -> None:
    inputs = batch()
    named = dict(zip(input_names(tuple(inputs.parts)), inputs.flat(), strict=True))
    assert named["left_hand"] is inputs.parts["left_hand"]
    assert named["right_hand"] is inputs.parts["right_hand"]
    assert (named["time_s"], named["aspect"], named["lengths"]) == inputs[1:]


def test_flattening_loses_nothing() -> None:
    inputs = batch()
    again = from_flat(tuple(inputs.parts), inputs.flat())
    assert list(again.parts) == list(inputs.parts)
    assert all(a is b for a, b in zip(again.flat(), inputs.flat(), strict=True))
