"""If these fail, training pushes the wrong class, or rare classes get another class's weight."""

import pytest
import torch
from torch import Tensor

from sigflow.losses import CrossEntropy, cross_entropy

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 1, 2, 3, 0, 0])
ONE_HOT = torch.nn.functional.one_hot(TARGET, 4).float()


def by_hand(smoothing: float, weight_K: Tensor) -> Tensor:
    share_BK = torch.nn.functional.one_hot(TARGET, 4) * (1 - smoothing) + smoothing / 4
    return -(share_BK * weight_K * LOGITS.log_softmax(1)).sum(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_clip_has_its_own_loss_by_the_formula(smoothing: float) -> None:
    loss_B = cross_entropy(LOGITS, ONE_HOT, CrossEntropy(smoothing=smoothing), None)
    assert torch.allclose(loss_B, by_hand(smoothing, torch.ones(4)), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weight_counts_for_the_class_with_its_index(smoothing: float) -> None:
    weight_K = torch.tensor([0.5, 1.0, 2.0, 7.0])
    loss_B = cross_entropy(LOGITS, ONE_HOT, CrossEntropy(smoothing=smoothing), weight_K)
    assert torch.allclose(loss_B, by_hand(smoothing, weight_K), atol=1e-5)


def test_a_class_of_weight_0_is_not_learnt() -> None:
    logits = LOGITS.clone().requires_grad_()
    cross_entropy(logits, ONE_HOT, CrossEntropy(), torch.tensor([0.0, 1, 1, 1])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(1).gt(0).tolist() == [False, True, True, True, False, False]
