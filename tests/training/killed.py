"""A training that is killed in the middle, and gone on with."""

from collections.abc import Sequence

import pytest

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.training import Checkpoint, FoldResult, fit


def killed_and_resumed(
    recipe: Recipe, clips: Clips, labels: Sequence[str], fold: Fold, at: Location, *, after: int
) -> FoldResult:
    """What a fold gives that is killed when it reports an epoch for the time `after` + 1; its checkpoint is `at`."""
    checkpoint = Checkpoint(at, "run", every_s=0.0)
    seen: list[Epoch] = []

    def die(epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) > after:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit(recipe, clips, labels, fold, report=die, checkpoint=checkpoint)
    return fit(recipe, clips, labels, fold, checkpoint=checkpoint)
