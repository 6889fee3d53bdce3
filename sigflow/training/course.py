"""How long a model is trained where nobody judges it: what the folds of its run have found.

As many epochs as the folds' best ones are in the mean. Over more clips than a fold has that is as many more steps: each
clip is seen as often as it was in a fold. Source: AutoGluon's refit_full, which trains on all data for the rounded mean
of what early stopping found in each fold (autogluon/core, BaggedEnsembleModel._get_compressed_params).
"""

from collections.abc import Sequence

import numpy as np

from sigflow.config import Config
from sigflow.models.recogniser import PortfolioConfig
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.ways import TrainConfig


class Course(Config):
    """Of one model, or one member of a portfolio.

    Attributes:
        epochs: over all clips.
        lessons: of a curriculum, before: the size of each vocabulary, and its epochs.
    """

    epochs: int
    lessons: tuple[tuple[int, int], ...] = ()


def courses_of(recipe: Recipe, num_classes: int, histories: Sequence[Sequence[Epoch]]) -> tuple[Course, ...]:
    """Of each member of the recipe's model (one, or a portfolio's), from all folds' `histories`."""
    members = len(recipe.model.members) if isinstance(recipe.model, PortfolioConfig) else 1
    everything = num_classes - recipe.sentences
    return tuple(
        _course(recipe, everything, [[e for e in history if e.get("member", 0) == number] for history in histories])
        for number in range(members)
    )


def best_epoch(history: Sequence[Epoch], config: TrainConfig) -> int:
    """Which of these epochs, from 1, was the best by the stop part."""
    sign = -1 if config.stop_on in ("loss", "wer") else 1
    best, found = -np.inf, 1
    for number, epoch in enumerate(history, 1):
        if (score := sign * epoch[f"stop_{config.stop_on}"]) > best + config.min_delta:
            best, found = score, number
    return found


def _course(recipe: Recipe, everything: int, histories: Sequence[Sequence[Epoch]]) -> Course:
    proper = [[e for e in history if e.get("vocabulary", everything) == everything] for history in histories]
    spent = {
        size: _mean([sum(e.get("vocabulary") == size for e in history) for history in histories])
        for size in recipe.curriculum.vocabularies
        if size != everything
    }
    return Course(
        epochs=max(1, _mean([best_epoch(history, recipe.train) for history in proper])),
        lessons=tuple((size, epochs) for size, epochs in spent.items() if epochs),
    )


def _mean(counts: Sequence[int]) -> int:
    return round(float(np.mean(counts)))
