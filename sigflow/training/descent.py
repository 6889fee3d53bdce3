"""Gradient descent of one model, epoch by epoch, with its best epoch kept.

Shape suffixes: B batch, N clips, T frames, C outputs of an auxiliary head, K classes.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.augment import Augmentation, mix
from sigflow.data.targets import Targets
from sigflow.errors import UserError
from sigflow.losses import Ctc, alignment_loss, auxiliary_loss, classification_loss, ctc_loss
from sigflow.models.recogniser import Recogniser
from sigflow.monitors import Alarm, Epoch, diversity, watch
from sigflow.optim import LearningRate, averaged, make_optimiser
from sigflow.recipes.recipe import Recipe
from sigflow.training.checkpoint import State
from sigflow.training.judge import decoded, evaluate
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
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.rate.restore(state["rate"])
        self.best, self.best_score, self.best_epoch = state["best"], state["score"], state["epoch"]
        self.history = state["history"]
        self.alarms = [Alarm(*alarm) for alarm in state["alarms"]]

    @property
    def finished(self) -> bool:
        return any(alarm.stops for alarm in self.alarms)


def descend(
    fitting: Fitting,
    model: Recogniser,
    train: Part,
    stop: Part,
    extra: Epoch,
    *,
    resumed: State | None = None,
    ended: Callable[[Callable[[], State]], None] = lambda state: None,
) -> Descended:
    """Train `model` in place, up to its best epoch; each epoch joins `fitting.history` with what `extra` says.

    `ended` is called after each epoch with a function that gives the state to go on from, which is `resumed` then.

    Raises:
        UserError: the loss is no number any more.
    """
    recipe = fitting.recipe
    descent = _Descent(fitting, model, train)
    if resumed is not None:
        descent.restore(resumed)
        fitting.history.extend(descent.history)
    true = diversity([gloss for sentence in stop.targets.sentences() for gloss in sentence], _num_answers(fitting))
    for number in range(len(descent.history) + 1, descent.epochs + 1):
        if descent.finished or (number > 1 and number - 1 - descent.best_epoch >= recipe.train.patience):
            break
        fitting.begin_epoch(int(extra.get("member", 0)), number)
        epoch: Epoch = {"epoch": number, **extra, **_train_epoch(fitting, descent, train)}
        judged = descent.judged()
        epoch |= prefixed(evaluate(judged, stop))
        if not np.isfinite(epoch["loss"]) or not np.isfinite(epoch["stop_loss"]):
            raise UserError(
                f"fold {fitting.fold.number} diverged in epoch {number}: the loss is not finite; lower optim.lr"
            )
        descent.rate.epoch_ended(epoch["stop_loss"])
        descent.history.append(epoch)
        fitting.history.append(epoch)
        descent.alarms += watch(descent.history, true, recipe.monitors.within(descent.epochs))
        sign = -1 if recipe.train.stop_on in ("loss", "wer") else 1
        if (name := f"stop_{recipe.train.stop_on}") not in epoch:
            raise UserError(f"train.stop_on={recipe.train.stop_on} is for two classes; choose macro_f1, or loss")
        score = sign * epoch[name]
        if score > descent.best_score + recipe.train.min_delta:
            descent.best, descent.best_score, descent.best_epoch = weights_of(judged), score, number
        fitting.report(epoch)
        ended(descent.state)
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
        if not np.isfinite(_train_epoch(both, descent, part)["loss"]):
            raise UserError(f"fold {fold.number} diverged when it was refitted: the loss is not finite; lower optim.lr")
    model.load_state_dict(weights_of(descent.judged()))


def _train_epoch(fitting: Fitting, descent: _Descent, train: Part) -> Epoch:
    recipe, model, team = fitting.recipe, descent.model, fitting.team
    order_N = torch.randperm(len(train), generator=fitting.common)
    batches = order_N.split(recipe.train.batch_size)
    shares = team.mine(batches)
    if recipe.augmentation != Augmentation():  # of the clips that this worker needs, in the order in which it does
        train = fitting.part(fitting.fold.train[torch.cat(shares).numpy()], augmented=True)
        shares = list(torch.arange(len(train)).split([len(share) for share in shares]))
    model.train()
    sums, norms = torch.zeros(2, device=fitting.device, dtype=torch.float64), []
    for batch, share in zip(batches, shares, strict=True):
        descent.optimiser.zero_grad(set_to_none=True)
        if len(share):
            with _precision(recipe, fitting.device):
                loss_B, right_B = _loss(fitting, model, train.take(share.to(fitting.device)), descent.weight_K)
            (loss_B.sum() / len(batch)).backward()
            # Kept where they are, and read once an epoch: reading after each step would wait for the device.
            sums += torch.stack([loss_B.detach().sum(), right_B.to(fitting.device).sum()])
        team.add_gradients(model)
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm))
        descent.rate.step()
        descent.optimiser.step()
        if descent.average is not None:
            descent.average.update_parameters(model)
    team.average_buffers(model)
    loss, right = (team.total(sums) / len(order_N)).tolist()
    return {"loss": loss, "accuracy": right, "grad_norm": float(torch.stack(norms).max())}


def _loss(fitting: Fitting, model: Recogniser, batch: Part, weight_K: Tensor | None) -> tuple[Tensor, Tensor]:
    """Loss of each clip, and whether it is recognised (a sentence: in full)."""
    recipe, (sequences, targets, extra) = fitting.recipe, batch
    match recipe.loss:
        case Ctc():
            logits_BTK, others = model.answer(sequences)
            logits_BTK = logits_BTK.float()
            loss_B = ctc_loss(logits_BTK, sequences.lengths, targets.glosses, targets.lengths, recipe.loss)
            if recipe.loss.alignment:
                signing_BT = extra["segmentation"][:, :, 0]
                aligned_B = alignment_loss(logits_BTK, signing_BT, targets.glosses, targets.lengths)
                loss_B = loss_B + recipe.loss.alignment * aligned_B
            given = decoded(logits_BTK.detach(), sequences.lengths)
            right_B = torch.tensor([a == b for a, b in zip(given, targets.sentences(), strict=True)])
        case loss:
            target_BK = nn.functional.one_hot(targets.glosses[:, 0], len(fitting.labels)).to(sequences.values.dtype)
            mixed_BTF, target_BK = mix(sequences.values, target_BK, recipe.mixing, fitting.own)
            logits_BK, others = model.answer(sequences._replace(values=mixed_BTF))
            logits_BK = logits_BK.float()
            loss_B = classification_loss(logits_BK, target_BK, loss, weight_K)
            right_B = logits_BK.detach().argmax(1) == target_BK.argmax(1)
    for name, answer_BTC in others.items():
        taught_BTC = extra[name]
        if name in model.auxiliary_scalers:
            taught_BTC = torch.where(taught_BTC.isnan(), taught_BTC, model.auxiliary_scalers[name](taught_BTC))
        loss_B = loss_B + getattr(recipe.auxiliary, name) * auxiliary_loss(answer_BTC.float(), taught_BTC, name)
    return loss_B, right_B


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    if recipe.optim.mixed_precision and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def _num_answers(fitting: Fitting) -> int:
    """CTC's blank is none."""
    return len(fitting.labels) - fitting.recipe.sentences


def prefixed(epoch: Epoch) -> Epoch:
    """As figures of the stop part."""
    return {f"stop_{name}": value for name, value in epoch.items()}


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy on the CPU."""
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}


def class_weights(targets: Targets, num_classes: int) -> Tensor:
    """n / (classes * count) at each class's own index; a class without clips gets 0."""
    classes_N = targets.glosses[:, 0]
    count_K = torch.bincount(classes_N, minlength=num_classes)
    weight_K = len(classes_N) / (num_classes * count_K.clamp(min=1))
    return torch.where(count_K > 0, weight_K, torch.zeros_like(weight_K))
