"""Workers that train one model together: each a share of every batch, gradients added up."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """This worker's place among `size`; `group` is torch's, None for a worker alone."""

    rank: int = 0
    size: int = 1
    group: "dist.ProcessGroup | None" = None

    def mine(self, batches: Iterable[Tensor]) -> list[Tensor]:
        """This worker's share of each batch of row numbers; it may be empty."""
        return [rows[self.rank :: self.size] for rows in batches]

    def add_gradients(self, model: nn.Module) -> None:
        """The sum over all workers, in place. As one message: models are small, and messages are slow."""
        if self.size == 1:
            return
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        flat = torch.cat(
            [(torch.zeros_like(weight) if weight.grad is None else weight.grad).flatten() for weight in weights]
        )
        dist.all_reduce(flat, group=self.group)
        for weight, grad in zip(weights, flat.split([weight.numel() for weight in weights]), strict=True):
            weight.grad = grad.view_as(weight)

    def total(self, values: Tensor) -> Tensor:
        """Sum over all workers."""
        if self.size > 1:
            dist.all_reduce(values, group=self.group)
        return values

    def average_buffers(self, model: nn.Module) -> None:
        """What layers have seen of their inputs (batch normalisation), averaged: all workers judge alike then."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer, group=self.group)
                buffer /= self.size
