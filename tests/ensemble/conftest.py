"""Made-up out-of-fold predictions of runs whose worth is known."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pytest

from sigflow import runs
from sigflow.ensemble import Pool
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import locate

FOLDS = 5
MakePool = Callable[..., Pool]


@pytest.fixture
def make_pool() -> MakePool:
    """A pool of runs from their (N, K) probabilities and the true classes; clips of a fold stand side by side."""

    def make(probs: Sequence[np.ndarray], true: Sequence[int], *, folds: int = FOLDS, subjects: int = FOLDS) -> Pool:
        count, classes = probs[0].shape
        labels = tuple(f"class{k:02}" for k in range(classes))
        order = np.arange(count)
        clips = pa.table(
            {
                "clip_id": [f"clip{row:05}" for row in order],
                "fold": pa.array(order * folds // count, pa.int32()),
                "label": [labels[k] for k in true],
                "subject": [f"subject{row * subjects // count}" for row in order],
            }
        )
        recipe = find_recipe("isolated_gestures")
        each = tuple(
            runs.Run(
                recipe=override(recipe, [f"train.seed={number}"]), data="landmarks", data_fingerprint="d",
                extractor="made", labels=labels, num_folds=folds, folds_spec=str(folds), folds_fingerprint="f",
                holdout=(), subject_independent=True,
            )
            for number in range(len(probs))
        )  # fmt: skip
        places = tuple(locate(f"runs/{number}") for number in range(len(probs)))
        return Pool(places, each, clips, tuple(probs), np.arange(count + 1))

    return make
