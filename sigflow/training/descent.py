"""Gradient descent of one model, epoch by epoch, with its best epoch kept.

Shape suffixes: B batch, N clips, K classes.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.augment import Augmentation
from sigflow.errors import UserError
from sigflow.models.recogniser import Recogniser
from sigflow.monitors import Alarm, Epoch, diversity, watch
from sigflow.optim import LearningRate, averaged, make_optimiser
from sigflow.recipes.ways import TrainConfig
from sigflow.training.batches import draw_batches
from sigflow.training.checkpoint import State
from sigflow.training.course import Course
from sigflow.training.judge import evaluate
from sigflow.training.lessons import make_lessons, progress
from sigflow.training.objective import batch_loss, class_weights
from sigflow.training.parts import Fitting, Part


class Descended(NamedTuple):
    """Which epoch's weights the model has now, and what the monitors said."""

    best_epoch: int
    alarms: list[Alarm]


class _Descent:
    """What one epoch hands to the next."""

    def __init__(self, fitting: Fitting, model: Recogniser, train: Part) -> None:
        recipe = fitting.recipe
        self.model = model
        self.optimiser = make_optimiser(model, recipe.optim)
        steps = -(-len(train) // recipe.train.batch_size)
        self.epochs = recipe.train.epochs_for(len(train))
        self.rate = LearningRate(self.optimiser, recipe.optim, steps_per_epoch=steps, epochs=self.epochs)
        self.average = averaged(model, recipe.optim.ema_decay)
        self.weight_K = class_weights(train.targets, len(fitting.labels)) if recipe.loss_weights else None
        self.best, self.best_score, self.best_epoch = weights_of(model), -np.inf, 0
        self.history: list[Epoch] = []
        self.alarms: list[Alarm] = []

    def judged(self) -> Recogniser:
        """The model that would be used now."""
        if self.average is None:
            return self.model
        judged = cast(Recogniser, self.average.module)
        for mine, its in zip(judged.buffers(), self.model.buffers(), strict=True):
            mine.copy_(its)
        return judged

    def state(self) -> State:
        """Everything, for `restore`; on the CPU or the device that it is on."""
        return {
            "model": self.model.state_dict(), "best": self.best, "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.state_dict(), "rate": self.rate.state(),
            "score": float(self.best_score), "epoch": self.best_epoch, "history": self.history,
            "alarms": [list(alarm) for alarm in self.alarms],
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Go on from there: the next epoch is as if there had been no pause."""
        self.model.load_state_dict(state["model"])
        decay = [group["weight_decay"] for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, its in zip(self.optimiser.param_groups, decay, strict=True):
            group["weight_decay"] = its  # what the recipe says now, if it was changed meanwhile
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.rate.restore(state["rate"])
        self.best, self.best_score, self.best_epoch = state["best"], state["score"], state["epoch"]
        self.history = state["history"]
        self.alarms = [Alarm(*alarm) for alarm in state["alarms"]]

    @property
    def finished(self) -> bool:
        return any(alarm.stops for alarm in self.alarms)

    def keep_if_best(self, epoch: Epoch, judged: Recogniser, config: TrainConfig) -> None:
        """Remember the weights of the best epoch by the stop part."""
        score = epoch[f"stop_{config.stop_on}"] * (-1 if config.stop_on in ("loss", "wer") else 1)
        if score > self.best_score + config.min_delta:
            self.best, self.best_score, self.best_epoch = weights_of(judged), score, int(epoch["epoch"])


def descend(
    fitting: Fitting,
    model: Recogniser,
    train: Part,
    stop: Part,
    extra: Epoch,
    *,
    resumed: State | None = None,
    ended: Callable[[Callable[[], State], bool], None] = lambda state, last: None,
) -> Descended:
    """Train `model` in place, up to its best epoch; each epoch joins `fitting.history` with what `extra` says.

    `ended` is called after each epoch, with True after the last one, and with a function that gives the state to go on
    from, which is `resumed` then.

    Raises:
        UserError: the loss is no number any more.
    """
    recipe = fitting.recipe
    descent = _Descent(fitting, model, train)
    if resumed is not None:
        descent.restore(resumed)
        fitting.history.extend(descent.history)
    true = diversity([gloss for sentence in stop.targets.sentences() for gloss in sentence], _num_answers(fitting))
    lessons = make_lessons(train, stop, recipe.curriculum)
    everything, first = torch.arange(len(train)), len(descent.history) + 1
    while not descent.finished:
        over, begun = progress(descent.history, len(lessons), recipe.curriculum)
        lesson = lessons[over] if over < len(lessons) else None
        number = len(descent.history) + 1
        waited = number - 1 - (descent.best_epoch or begun)
        if not lesson and (number - begun > descent.epochs or (number - begun > 1 and waited >= recipe.train.patience)):
            break
        if number > first:
            ended(descent.state, False)
        fitting.begin_epoch(int(extra.get("member", 0)), number)
        epoch: Epoch = {"epoch": number, **extra}
        if lessons:
            epoch["vocabulary"] = lesson.vocabulary if lesson else _num_answers(fitting)
        epoch |= _train_epoch(fitting, descent, train, lesson.train.cpu() if lesson else everything, hold=bool(lesson))
        judged = descent.judged()
        epoch |= prefixed(evaluate(judged, stop.take(lesson.stop) if lesson else stop))
        if not np.isfinite(epoch["loss"]) or not np.isfinite(epoch["stop_loss"]):
            raise UserError(
                f"fold {fitting.fold.number} diverged in epoch {number}: the loss is not finite; lower optim.lr"
            )
        descent.history.append(epoch)
        fitting.history.append(epoch)
        if not lesson:
            descent.rate.epoch_ended(epoch["stop_loss"])
            # A collapse is said before patience would end the fold without a word.
            monitors = recipe.monitors.within(min(descent.epochs, 3 * (recipe.train.patience + 1) // 2))
            descent.alarms += watch(descent.history[begun:], true, monitors)
            descent.keep_if_best(epoch, judged, recipe.train)
        fitting.report(epoch)
    if len(descent.history) >= first:
        ended(descent.state, True)
    model.load_state_dict(descent.best)
    return Descended(descent.best_epoch, descent.alarms)


def refit(fitting: Fitting, model: Recogniser, member: int) -> None:
    """Go on from the best weights, on train and stop part together; nothing is judged or chosen there any more."""
    recipe, fold = fitting.recipe, fitting.fold
    optim = recipe.optim.model_copy(update={"lr": recipe.optim.lr / 2, "schedule": "cosine", "warmup_epochs": 1.0})
    at_most = -(-recipe.train.epochs_for(len(fold.train)) // 3)
    train = recipe.train.model_copy(update={"epochs": min(recipe.train.refit_epochs, at_most), "most_steps": None})
    both = replace(
        fitting,
        recipe=recipe.model_copy(update={"optim": optim, "train": train}),
        fold=replace(fold, train=np.sort(np.concatenate([fold.train, fold.stop]))),
    )
    part = both.part(both.fold.train)
    descent = _Descent(both, model, part)
    for number in range(1, descent.epochs + 1):
        both.begin_epoch(member, -number)
        if not np.isfinite(_train_epoch(both, descent, part, torch.arange(len(part)))["loss"]):
            raise UserError(f"fold {fold.number} diverged when it was refitted: the loss is not finite; lower optim.lr")
    model.load_state_dict(weights_of(descent.judged()))


def follow(fitting: Fitting, model: Recogniser, train: Part, course: Course, extra: Epoch) -> None:
    """Train `model` in place for the epochs that `course` says; the last one's weights (or their average) are kept.

    The learning rate's schedule ends with the course. One that waits for a stop part to stand still (plateau) has none
    to look at here, and falls as a half cosine. Each epoch joins `fitting.history` with what `extra` says.

    Raises:
        UserError: the loss is no number any more.
    """
    recipe = fitting.recipe
    optim = recipe.optim.model_copy(update={"warmup_epochs": min(recipe.optim.warmup_epochs, course.epochs / 2)})
    if optim.schedule == "plateau":
        optim = optim.model_copy(update={"schedule": "cosine"})
    config = recipe.train.model_copy(update={"epochs": course.epochs, "most_steps": None})
    fixed = replace(fitting, recipe=recipe.model_copy(update={"optim": optim, "train": config}))
    descent, lasting = _Descent(fixed, model, train), dict(course.lessons)
    lessons = [it.train.cpu() for it in make_lessons(train, train, recipe.curriculum)
               for _ in range(lasting.get(it.vocabulary, 0))]  # fmt: skip
    for number in range(1, len(lessons) + course.epochs + 1):
        fixed.begin_epoch(int(extra.get("member", 0)), number)
        rows_N = lessons[number - 1] if number <= len(lessons) else torch.arange(len(train))
        epoch: Epoch = {"epoch": number, **extra}
        epoch |= _train_epoch(fixed, descent, train, rows_N, hold=number <= len(lessons))
        if not np.isfinite(epoch["loss"]):
            raise UserError(f"training on all clips diverged in epoch {number}: the loss is not finite; lower optim.lr")
        fitting.history.append(epoch)
        fitting.report(epoch)
    model.load_state_dict(weights_of(descent.judged()))


def _train_epoch(fitting: Fitting, descent: _Descent, train: Part, rows_N: Tensor, *, hold: bool = False) -> Epoch:
    """Over the clips `rows_N` of the train part; `hold`: the learning rate's schedule waits."""
    recipe, model, team = fitting.recipe, descent.model, fitting.team
    batches = draw_batches(rows_N, train.lengths, recipe.train, fitting.common)
    shares = team.mine(batches)
    loaded = train.batches(shares, augmented=recipe.augmentation != Augmentation())
    model.train()
    sums, norms = torch.zeros(2, device=fitting.device, dtype=torch.float64), []
    for batch, share in zip(batches, shares, strict=True):
        descent.optimiser.zero_grad(set_to_none=True)
        if len(share):
            loss_B, right_B = batch_loss(fitting, model, next(loaded), descent.weight_K)
            (loss_B.sum() / len(batch)).backward()
            # Kept where they are, and read once an epoch: reading after each step would wait for the device.
            sums += torch.stack([loss_B.detach().sum(), right_B.to(fitting.device).sum()])
        team.add_gradients(model)
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm))
        descent.rate.step(hold=hold)
        descent.optimiser.step()
        if descent.average is not None:
            descent.average.update_parameters(model)
    team.average_buffers(model)
    loss, right = (team.total(sums) / len(rows_N)).tolist()
    return {"loss": loss, "accuracy": right, "grad_norm": float(torch.stack(norms).max())}


def _num_answers(fitting: Fitting) -> int:
    """CTC's blank is none."""
    return len(fitting.labels) - fitting.recipe.sentences


def prefixed(epoch: Epoch) -> Epoch:
    """As figures of the stop part."""
    return {f"stop_{name}": value for name, value in epoch.items()}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy on the CPU."""
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}
