"""If these fail, part of the model never learns, or it learns with settings that nobody chose."""

import pytest
import torch
from torch import nn

from sigflow.optim import OptimConfig, make_optimiser


@pytest.mark.parametrize(("kind", "expected"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_recipe_says_which_optimiser_with_which_settings(kind: str, expected: type[torch.optim.Optimizer]) -> None:
    config = OptimConfig.model_validate({"kind": kind, "lr": 0.02, "weight_decay": 0.3})
    optimiser = make_optimiser(nn.Linear(3, 2), config)
    assert type(optimiser) is expected
    assert [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups] == [(0.02, 0.3)]


def test_every_parameter_moves() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = make_optimiser(model, OptimConfig())
    model(torch.randn(5, 3)).square().sum().backward()
    optimiser.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
