"""One fold of a run: its model trained, its test part predicted.

Shape suffixes: N clips of a part, T frames after resampling, K classes, M members, S clips of the stop part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import make_targets, words
from sigflow.features.scaling import Scaler
from sigflow.models.portfolio import Portfolio, mixture_weights
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel
from sigflow.monitors import Alarm, Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.training.checkpoint import Checkpoint, State
from sigflow.training.descent import descend, prefixed, refit, weights_of
from sigflow.training.judge import evaluate, logits_of, test_metrics, unpadded
from sigflow.training.parts import Batch, Fitting, Part
from sigflow.training.pretrain import pretrain
from sigflow.training.start import Start, begin_with, build
from sigflow.training.team import Team

ALONE = Team()


@dataclass(frozen=True)
class FoldResult:
    """The best epoch's weights, what every epoch was like, and what the weights say of the test part.

    `test_probs`: one array per clip, (K,), or (T, K) of its frames where sentences are recognised.
    """

    fold: int
    weights: dict[str, Tensor]
    history: list[Epoch]
    best_epoch: int
    test_probs: list[np.ndarray]
    metrics: dict[str, Any]  # of the test part
    alarms: list[Alarm]  # of the monitors, in the order of their epochs
    pretraining: list[Epoch]  # what went before, without labels


def fit(
    recipe: Recipe,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    *,
    device: torch.device | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    checkpoint: Checkpoint | None = None,
    team: Team = ALONE,
    start: Start | None = None,
    unlabelled: Clips | None = None,
) -> FoldResult:
    """Train on the fold's train part, keep the epoch that is best on its stop part, predict its test part.

    The same recipe, clips, fold, team and machine give the same result, also when a `checkpoint` was taken up on the
    way; the caller's random state is left alone. All workers of a `team` call this alike, and get the same; give the
    checkpoint to all of them, and only the first writes it. With a `start`, training begins there (fine-tuning). What
    the recipe pre-trains on is the train part, and of `unlabelled` clips those of nobody who is judged or tested.

    Raises:
        UserError: the loss is no number any more, or the clips are not labelled for this recipe.
    """
    device = device or torch.device("cpu")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.train.seed * 1009 + fold.number)
        targets = make_targets(words(clips, sentences=recipe.sentences), labels).to(device)
        fitting = Fitting(recipe, clips.to(device), labels, fold, targets, device, report, team)
        return _fit(fitting, checkpoint, start, unlabelled)


def _fit(fitting: Fitting, checkpoint: Checkpoint | None, start: Start | None, unlabelled: Clips | None) -> FoldResult:
    recipe, fold = fitting.recipe, fitting.fold
    train, stop, test = (fitting.part(rows) for rows in (fold.train, fold.stop, fold.test))
    model = untrained(fitting, train)
    if start is not None:
        begin_with(model, fitting.labels, start)
    found = checkpoint.load() if checkpoint else None
    writes = checkpoint if not fitting.team.rank else None
    pretraining: list[Epoch] = []
    if found and "descent" in found:
        pretraining = found["pretraining"]
    elif recipe.pretraining.epochs:
        pretraining = pretrain(
            fitting, model, stop, unlabelled, resumed=found["pretraining"] if found else None,
            ended=partial(_save_pretraining, writes),
        )  # fmt: skip
        found = None
    alarms: list[Alarm] = []
    best_epoch = 0
    portfolio = model.model if isinstance(model.model, Portfolio) else None
    members = list(portfolio.members) if portfolio else [model.model]
    for number, member in enumerate(members):
        if found and number < found["member"]:
            continue
        if found and number == found["member"]:
            model.load_state_dict(found["model"])
            fitting.history.extend(found["before"])
            alarms = [Alarm(*alarm) for alarm in found["alarms"]]
        own = _Member(number, model, list(fitting.history), list(alarms), pretraining)
        alone = model.only(member) if portfolio else model
        extra: Epoch = {"member": number} if portfolio else {}
        if isinstance(member, RocketModel):
            best_epoch = _solve(fitting, alone, train, stop, extra)
            continue
        descended = descend(
            fitting, alone, train, stop, extra,
            resumed=found["descent"] if found and number == found["member"] else None,
            ended=partial(_save, writes, own),
        )  # fmt: skip
        best_epoch = descended.best_epoch
        alarms += descended.alarms
    if portfolio:
        _weigh(model, portfolio, stop)
    for number, member in enumerate(members):
        if any(alarm.stops for alarm in alarms):
            break
        _refit(fitting, model.only(member) if portfolio else model, number)
    logits, lengths_N = logits_of(model, test)
    each = unpadded(logits.softmax(-1).float().cpu().numpy(), lengths_N)
    subjects = fitting.clips.column("subject")
    metrics = test_metrics(each, test, fitting.labels, [subjects[i] for i in fold.test])
    return FoldResult(fold.number, weights_of(model), fitting.history, best_epoch, each, metrics, alarms, pretraining)


def untrained(fitting: Fitting, train: Part) -> Recogniser:
    """The recipe's model, which knows of the train part how large its features are and nothing else."""
    model = build(fitting.recipe, len(fitting.labels)).to(fitting.device)
    sample = train.sample()
    model.scaler.fit(sample.sequences.values)
    for name, scaler in model.auxiliary_scalers.items():
        cast(Scaler, scaler).fit(sample.extra[name])
    return model


@dataclass(frozen=True)
class _Member:
    """What was there before this member began."""

    number: int
    model: Recogniser
    before: list[Epoch]
    alarms: list[Alarm]
    pretraining: list[Epoch]


def _save_pretraining(checkpoint: Checkpoint | None, state: Callable[[], State]) -> None:
    if checkpoint is not None and checkpoint.due:
        checkpoint.save({"pretraining": state()})


def _save(checkpoint: Checkpoint | None, member: _Member, state: Callable[[], State], last: bool) -> None:
    if checkpoint is not None and (last or checkpoint.due):
        checkpoint.save(
            {
                "member": member.number, "model": member.model.state_dict(), "before": member.before,
                "alarms": [list(alarm) for alarm in member.alarms], "pretraining": member.pretraining,
                "descent": state(),
            }
        )  # fmt: skip


def _solve(fitting: Fitting, model: Recogniser, train: Part, stop: Part, extra: Epoch) -> int:
    """A rocket is solved, not descended to: one epoch."""
    solve_rocket(model, train)
    epoch: Epoch = {"epoch": 1, **extra, **evaluate(model, train), **prefixed(evaluate(model, stop))}
    fitting.history.append(epoch)
    fitting.report(epoch)
    return 1


def solve_rocket(model: Recogniser, train: Part) -> None:
    """By all clips of the part at once, in place."""
    _fit_rocket(model, train.fitting.load(train.rows) if train.whole is None else train.whole)


def _fit_rocket(model: Recogniser, clips: Batch) -> None:
    assert isinstance(model.model, RocketModel)
    x_NTF, lengths_N, _ = model.prepare(clips.sequences)
    model.model.fit(x_NTF, lengths_N, clips.targets.glosses[:, 0])


def _refit(fitting: Fitting, model: Recogniser, number: int) -> None:
    """With the stop part too, once it has been asked what it is for: the history, the epoch, a portfolio's weights.

    A rocket chooses nothing by it, and always gains by more clips.
    """
    if isinstance(model.model, RocketModel):
        _fit_rocket(model, fitting.load(np.sort(np.concatenate([fitting.fold.train, fitting.fold.stop]))))
    elif fitting.recipe.train.refit_epochs:
        refit(fitting, model, number)


def _weigh(model: Recogniser, portfolio: Portfolio, stop: Part) -> None:
    """By how likely each member finds the stop part's true classes."""
    right_S1 = stop.targets.glosses[:, :1]
    probs = [logits_of(model.only(member), stop)[0].softmax(-1) for member in portfolio.members]
    portfolio.weights.copy_(mixture_weights(torch.stack([each.gather(1, right_S1)[:, 0] for each in probs])))
