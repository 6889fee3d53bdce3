"""Standardisation fitted on a fold's training clips, stored with the weights, part of the graph."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

_AT_ONCE = 2**24  # numbers


class Scaler(nn.Module):
    """(x - mean) / std, clipped to +-`limit`; then missing becomes 0, the training mean.

    Clipping bounds what a wild landmark can do to the loss. Buffers: mean, std (F,).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, limit: float = 8.0) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, values_BTF: Float[Tensor, "B T F"]) -> None:
        """Mean and population std over the frames that are there; a feature that never varies keeps std 1.

        Never: by less than a ten thousandth of what the others do, whatever unit they have.
        """
        values = values_BTF.flatten(0, 1)
        columns = max(1, _AT_ONCE // max(1, len(values)))  # float64 copies of all of them would need six times as much
        mean, std = (torch.cat(each) for each in zip(*map(_mean_and_std, values.split(columns, 1)), strict=True))
        self.mean.copy_(mean.nan_to_num(0.0))
        varying = std[std > 0]
        usual = varying.median() if len(varying) else std.new_tensor(1.0)
        self.std.copy_(torch.where(std > 1e-4 * usual, std, torch.ones_like(std)))

    def forward(self, values_BTF: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F"]:
        """Standardised, finite."""
        scaled = ((values_BTF - self.mean) / self.std).clamp(-self.limit, self.limit)
        return torch.where(scaled.isnan(), torch.zeros_like(scaled), scaled)


def _mean_and_std(values_SF: Float[Tensor, "S F"]) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
    values = values_SF.double()
    mean = values.nanmean(0)
    return mean, (values - mean).square().nanmean(0).sqrt()
