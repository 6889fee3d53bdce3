"""If these fail, clips are left out of an epoch, or batches of similar lengths are mostly padding after all."""

from typing import Any

import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.ways import TrainConfig
from sigflow.training import fit
from sigflow.training.batches import draw_batches

LENGTHS_N = torch.randint(20, 401, (1003,), generator=torch.Generator().manual_seed(0))


def drawn(rows_N: torch.Tensor, batch_size: int = 16, **settings: Any) -> list[torch.Tensor]:
    config = TrainConfig(batch_size=batch_size, **settings)
    return draw_batches(rows_N, LENGTHS_N, config, torch.Generator().manual_seed(1))


def padding(batches: list[torch.Tensor]) -> float:
    """Share of the frames that are no clip's."""
    whole = sum(len(batch) * int(LENGTHS_N[batch].max()) for batch in batches)
    return 1 - int(LENGTHS_N.sum()) / whole


@pytest.mark.parametrize("buckets", [1, 2, 8, 1000])
def test_every_clip_is_in_one_batch_and_all_but_one_are_full(buckets: int) -> None:
    rows_N = torch.arange(0, 1003, 2)
    batches = drawn(rows_N, bucket_batches=buckets)
    assert torch.equal(torch.cat(batches).sort().values, rows_N)
    assert sorted(map(len, batches)) == [6, *[16] * 31]  # as many steps as without


def test_batches_of_similar_lengths_have_little_padding_and_no_order() -> None:
    random, similar = drawn(torch.arange(1003)), drawn(torch.arange(1003), bucket_batches=8)
    assert padding(random) > 0.4
    assert padding(similar) < 0.15
    means = torch.stack([LENGTHS_N[batch].double().mean() for batch in similar])
    assert abs(float(torch.corrcoef(torch.stack([means, torch.arange(len(means)).double()]))[0, 1])) < 0.3
    again = draw_batches(
        torch.arange(1003), LENGTHS_N, TrainConfig(batch_size=16, bucket_batches=8), torch.Generator().manual_seed(2)
    )
    assert {tuple(sorted(batch.tolist())) for batch in again} != {tuple(sorted(batch.tolist())) for batch in similar}


def test_a_fold_is_trained_on_them(clips: Clips, labels: list[str], fold: Fold) -> None:
    recipe = override(
        find_recipe("isolated_gestures"),
        ["train.epochs=3", "train.batch_size=8", "model.hidden=[8]", "frontend.resampling.num_frames=null"],
    )
    plain, similar = (fit(override(recipe, [f"train.bucket_batches={n}"]), clips, labels, fold) for n in (1, 4))
    assert len(similar.history) == 3
    assert similar.history != plain.history
    assert len(similar.test_probs) == len(fold.test)
