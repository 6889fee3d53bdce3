"""Which clips make up the batches of an epoch.

Shape suffixes: N clips of a part.
"""

import torch
from torch import Tensor

from sigflow.recipes.ways import TrainConfig


def draw_batches(rows_N: Tensor, lengths_N: Tensor, config: TrainConfig, generator: torch.Generator) -> list[Tensor]:
    """Each of the rows once, in random order; with `bucket_batches` above 1 in batches of similar `lengths_N`.

    Those are cut from the clips of so many batches, sorted by length, and come in random order again.
    `lengths_N`: frames of all clips of the part that rows are of.
    """
    order_N = rows_N[torch.randperm(len(rows_N), generator=generator)]
    if config.bucket_batches == 1:
        return list(order_N.split(config.batch_size))
    pools = order_N.split(config.batch_size * config.bucket_batches)
    batches = [batch for pool in pools for batch in pool[lengths_N[pool].argsort(stable=True)].split(config.batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]
