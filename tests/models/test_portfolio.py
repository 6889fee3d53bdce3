"""If these fail, a model that is wrong on people who were not trained on has as much to say as one that is right."""

import pytest
import torch
from torch import nn

from sigflow.models.portfolio import Portfolio, mixture_weights


class Fixed(nn.Module):
    def __init__(self, logits_BK: torch.Tensor) -> None:
        super().__init__()
        self.logits_BK = logits_BK

    def forward(self, *_: torch.Tensor) -> torch.Tensor:
        return self.logits_BK


def test_probabilities_are_averaged_with_the_weights() -> None:
    a, b = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 3)
    model = Portfolio([Fixed(a), Fixed(b)])
    model.weights.copy_(torch.tensor([0.75, 0.25]))
    given = model(torch.zeros(4, 1, 1), torch.ones(4, dtype=torch.int64), torch.ones(4, 1, dtype=torch.bool))
    assert torch.allclose(given.softmax(1), 0.75 * a.softmax(1) + 0.25 / 3, atol=1e-6)


def test_the_better_member_gets_more_but_a_few_clips_silence_nobody() -> None:
    good, bad = torch.full((2, 400), 0.9), torch.full((2, 400), 0.3)
    probs_MS = torch.stack([good[0], bad[0]])
    many, few = mixture_weights(probs_MS), mixture_weights(probs_MS[:, :4])
    assert many[0] > 0.95
    assert 0.5 < few[0] < 0.8
    assert float(many.sum()) == pytest.approx(1)


def test_members_that_are_right_on_different_clips_share() -> None:
    first = torch.tensor([0.9, 0.1] * 50)
    weights = mixture_weights(torch.stack([first, 1 - first]))
    assert torch.allclose(weights, torch.tensor([0.5, 0.5]), atol=1e-4)
