"""Batch normalisation that knows padding, and layer normalisation of layers that grow.

Shape suffixes: R rows (frames or clips of a batch), F features.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the rows that are valid; the last dimension is normalised, all others are rows.

    Training: mean and variance of the valid rows, which must hold all that is not finite out of the others (0 is
    good). A batch with a single valid row gives the bias and leaves the running numbers alone. Predicting: an affine
    map, so that no row depends on its company. eps is Keras': torch's 1e-5 would blow up features that hardly vary.
    Source: Ioffe and Szegedy 2015.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, size: int, *, momentum: float = 0.1, eps: float = 1e-3) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("var", torch.ones(size))

    def forward(
        self, x: Float[Tensor, "*rows F"], valid: Bool[Tensor, "*rows"] | None = None
    ) -> Float[Tensor, "*rows F"]:
        """Normalised rows, those that are not valid too. Without `valid` all are."""
        if not self.training:
            scale_F = self.weight * (self.var + self.eps).rsqrt()
            return x * scale_F + (self.bias - self.mean * scale_F)
        with torch.autocast(x.device.type, enabled=False):  # sums over a batch need all of float32's digits
            rows_RF = x.float().flatten(0, -2)
            valid_R = rows_RF.new_ones(rows_RF.shape[0]) if valid is None else valid.flatten().float()
            count = valid_R.sum().clamp(min=1)
            share_R = valid_R / count
            mean_F = share_R @ rows_RF
            centred_RF = rows_RF - mean_F
            var_F = share_R @ centred_RF.square()
            out_RF = centred_RF * ((var_F + self.eps).rsqrt() * self.weight) + self.bias
        self._follow(mean_F.detach(), var_F.detach(), count)
        return out_RF.view(x.shape).to(x.dtype)

    def _follow(self, mean_F: Tensor, var_F: Tensor, count: Tensor) -> None:
        step = self.momentum * (count > 1).to(mean_F.dtype)
        self.mean.lerp_(mean_F, step)
        self.var.lerp_(var_F * (count / (count - 1).clamp(min=1)), step)


class LayerNorm(nn.Module):
    """Layer normalisation by the mean and variance of the features that count: at first all, alike.

    A layer that is widened keeps the statistics of the features that it had, and says the same as before. Source: Ba et
    al. 2016, arXiv:1607.06450. Buffer: share_F, weights that add up to 1.
    """

    share_F: Tensor

    def __init__(self, size: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("share_F", torch.full((size,), 1 / size))

    def forward(self, x: Float[Tensor, "*rows F"]) -> Float[Tensor, "*rows F"]:
        """Each row for itself."""
        with torch.autocast(x.device.type, enabled=False):
            x_float = x.float()
            centred = x_float - (x_float * self.share_F).sum(-1, keepdim=True)
            var = (centred.square() * self.share_F).sum(-1, keepdim=True)
            return (centred * (var + self.eps).rsqrt() * self.weight + self.bias).to(x.dtype)
