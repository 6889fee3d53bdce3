"""Which clips make up the batches of an epoch.

Shape suffixes: N clips of a part.
"""

import torch
from torch import Tensor

from sigflow.recipes.ways import TrainConfig
from sigflow.training.parts import Part


def draw_batches(part: Part, rows_N: Tensor, config: TrainConfig, generator: torch.Generator) -> list[Tensor]:
    """Each of the rows of a part once, in random order; with `bucket_batches` in batches of similar lengths.

    These are cut from the clips of so many batches, sorted by length, and then come in random order too.
    """
    order_N = rows_N[torch.randperm(len(rows_N), generator=generator)]
    if config.bucket_batches == 1 or part.fitting.recipe.frontend.resampling.num_frames is not None:
        return list(order_N.split(config.batch_size))
    lengths_N = part.fitting.clips.offsets.diff().cpu()[torch.from_numpy(part.rows)]
    pools = order_N.split(config.batch_size * config.bucket_batches)
    batches = [batch for pool in pools for batch in pool[lengths_N[pool].argsort(stable=True)].split(config.batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]
