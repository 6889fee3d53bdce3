"""One model of a recipe on all clips, once folds have shown how long that takes: nothing is stopped on or tested."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import make_targets, words
from sigflow.models.portfolio import Portfolio
from sigflow.models.rocket import RocketModel
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.training.course import Course
from sigflow.training.descent import follow, refit, weights_of
from sigflow.training.fold import solve_rocket, untrained
from sigflow.training.parts import Fitting
from sigflow.training.pretrain import pretrain
from sigflow.training.team import Team

_WATCHED = 256  # clips by which pre-training says how far it is; nothing hangs on it


@dataclass(frozen=True)
class Whole:
    """The last epoch's weights, and what every epoch was like."""

    weights: dict[str, Tensor]
    history: list[Epoch]


def fit_whole(
    recipe: Recipe,
    clips: Clips,
    labels: Sequence[str],
    rows: np.ndarray,
    courses: Sequence[Course],
    shares: Sequence[float] = (),
    *,
    number: int,
    device: torch.device | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    unlabelled: Clips | None = None,
) -> Whole:
    """Train on the clips `rows` as a fold is trained, for fixed numbers of epochs.

    The same arguments on the same machine give the same weights; the caller's random state is left alone.

    Args:
        courses: of each member of the recipe's model, see `courses_of`.
        shares: of a portfolio's members, which folds find on their stop parts.
        number: seeds it, as a fold's number does; one that no fold has.
        unlabelled: what the recipe pre-trains on beside `rows`; clips of other people are not taken.

    Raises:
        UserError: the loss is no number any more, or the clips are not labelled for this recipe.
    """
    device, nobody = device or torch.device("cpu"), np.array([], int)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.train.seed * 1009 + number)
        targets = make_targets(words(clips, sentences=recipe.sentences), labels).to(device)
        fold = Fold(number, np.sort(rows), nobody, nobody)
        fitting = Fitting(recipe, clips.to(device), labels, fold, targets, device, report, Team())
        return _fit(fitting, courses, shares, unlabelled)


def _fit(fitting: Fitting, courses: Sequence[Course], shares: Sequence[float], unlabelled: Clips | None) -> Whole:
    recipe = fitting.recipe
    train = fitting.part(fitting.fold.train)
    model = untrained(fitting, train)
    if recipe.pretraining.epochs:
        some = torch.linspace(0, len(train) - 1, min(len(train), _WATCHED)).long()
        pretrain(fitting, model, train.take(some), unlabelled)
    portfolio = model.model if isinstance(model.model, Portfolio) else None
    members = list(portfolio.members) if portfolio else [model.model]
    for number, (member, course) in enumerate(zip(members, courses, strict=True)):
        alone = model.only(member) if portfolio else model
        if isinstance(member, RocketModel):
            solve_rocket(alone, train)
            continue
        follow(fitting, alone, train, course, {"member": number} if portfolio else {})
        if recipe.train.refit_epochs:
            refit(fitting, alone, number)
    if portfolio:
        portfolio.weights.copy_(torch.tensor(shares))
    return Whole(weights_of(model), fitting.history)
