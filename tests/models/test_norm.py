"""If these fail, how much a batch is padded changes what a model learns."""

import torch

from sigflow.models.norm import MaskedBatchNorm


def test_statistics_are_torchs_of_the_valid_rows_alone() -> None:
    ours, reference = MaskedBatchNorm(4), torch.nn.BatchNorm1d(4, eps=1e-3)
    x_BNF = torch.randn(3, 7, 4) * 3 + 1
    valid_BN = torch.arange(7) < torch.tensor([7, 2, 5])[:, None]
    expected = reference(x_BNF[valid_BN])
    padded = x_BNF.masked_fill(~valid_BN[:, :, None], 1e4)
    assert torch.allclose(ours(padded, valid_BN)[valid_BN], expected, atol=1e-5)
    assert reference.running_mean is not None
    assert reference.running_var is not None
    assert torch.allclose(ours.mean, reference.running_mean, atol=1e-6)
    assert torch.allclose(ours.var, reference.running_var, atol=1e-5)
    ours.eval(), reference.eval()
    assert torch.allclose(ours(padded, valid_BN)[valid_BN], reference(x_BNF[valid_BN]), atol=1e-5)


def test_gradients_are_torchs_of_the_valid_rows_alone() -> None:
    ours, reference = MaskedBatchNorm(4), torch.nn.BatchNorm1d(4, eps=1e-3)
    valid_R = torch.tensor([True, False, True, True, True])
    one = torch.randn(5, 4, requires_grad=True)
    two = one.detach().clone().requires_grad_()
    weight = torch.randn(4, 4)
    (ours(one, valid_R)[valid_R] * weight).sum().backward()
    (reference(two[valid_R]) * weight).sum().backward()
    assert one.grad is not None
    assert two.grad is not None
    assert torch.allclose(one.grad, two.grad, atol=1e-5)


def test_a_single_row_teaches_no_variance() -> None:
    norm = MaskedBatchNorm(2)
    assert torch.equal(norm(torch.tensor([[3.0, -5.0]])), torch.zeros(1, 2))
    assert norm.mean.tolist() == [0.0, 0.0]
    assert norm.var.tolist() == [1.0, 1.0]


def test_half_precision_still_sums_in_full() -> None:
    norm = MaskedBatchNorm(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(torch.arange(2001.0)[:, None])
    assert out.dtype == torch.float32
    assert abs(float(out.detach().mean())) < 1e-4
