"""Pre-training without labels: the network fills in masked frames, then names what the hands do in them.

Shape suffixes: B batch, N clips, T frames, F features, C numbers of a frame's state, U codebooks, K units of each.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.clips import Clips
from sigflow.errors import UserError
from sigflow.features.frontend import Sequences
from sigflow.models.recogniser import FrameModel, Recogniser
from sigflow.monitors import Epoch
from sigflow.recipes.ways import Auxiliary, Pretraining
from sigflow.training.checkpoint import State
from sigflow.training.material import Material
from sigflow.training.objective import precision
from sigflow.training.parts import Batch, Fitting, Part
from sigflow.training.units import UNKNOWN, Units, find_units

_MEMBER = 1 << 16  # in whose place epochs are seeded: no portfolio has so many


@dataclass(frozen=True)
class _Task:
    """What is asked of a masked frame: its features, or, with `units`, what is done in it."""

    model: Recogniser
    head: nn.Linear
    config: Pretraining
    units: Units | None

    def loss(self, part: Batch, generator: torch.Generator, within: AbstractContextManager[Any]) -> Tensor:
        """Of each clip (B,), the mean over what is masked and known; the network computes `within` a precision."""
        values_BTF, lengths_B = part.sequences
        masked_BT = masked_frames(lengths_B, values_BTF.shape[1], self.config, generator)
        hidden = Sequences(values_BTF.masked_fill(masked_BT[:, :, None], torch.nan), lengths_B)
        with within:
            states_BTC = cast(FrameModel, self.model.model).frame_states(*self.model.prepare(hidden))
            answer = self.head(states_BTC).float()
        if self.units is None:
            known = ~values_BTF.isnan() & masked_BT[:, :, None]
            each = nn.functional.smooth_l1_loss(answer, self.model.scaler(values_BTF), reduction="none")
        else:
            code_BTU = self.units.name(part.extra["phonology"])
            known = (code_BTU != UNKNOWN) & masked_BT[:, :, None]
            logits_BKTU = answer.unflatten(2, (code_BTU.shape[2], -1)).permute(0, 3, 1, 2)
            each = nn.functional.cross_entropy(logits_BKTU, code_BTU.clamp(min=0), reduction="none")
        return (each * known).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)


def pretrain(
    fitting: Fitting,
    model: Recogniser,
    stop: Part,
    unlabelled: Clips | None,
    *,
    resumed: State | None = None,
    ended: Callable[[Callable[[], State]], None] = lambda state: None,
) -> list[Epoch]:
    """Train the layers below the head, in place, on the fold's training clips and those of `unlabelled` that are of
    nobody who is tested; how each epoch was. `stop_loss` is that of the stop part: judged, not learnt.

    Raises:
        UserError: the loss is no number any more.
    """
    config = fitting.recipe.pretraining
    fitting = replace(
        fitting,
        recipe=fitting.recipe.model_copy(
            update={"auxiliary": Auxiliary(phonology=1.0 if config.quantiser_epochs else 0.0)}
        ),
    )
    material = Material(fitting, unlabelled)
    history: list[Epoch] = list(resumed["history"]) if resumed else []
    stop = fitting.part(stop.rows) if config.quantiser_epochs else stop
    units = None
    if config.quantiser_epochs:
        units = find_units(material.sample().extra["phonology"], config.codes, fitting.recipe.train.seed)
    for naming, first, last in (
        (False, 1, config.masked_epochs),
        (True, config.masked_epochs + 1, config.epochs),
    ):
        if len(history) >= last:
            continue
        fitting.begin_epoch(_MEMBER, first)
        task = _make_task(model, config, units if naming else None, fitting.device)
        parameters = [*model.parameters(), *task.head.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=config.lr, weight_decay=fitting.recipe.optim.weight_decay)
        if resumed and len(history) >= first:
            model.load_state_dict(resumed["model"])
            task.head.load_state_dict(resumed["head"])
            optimiser.load_state_dict(resumed["optimiser"])
        for number in range(len(history) + 1, last + 1):
            fitting.begin_epoch(_MEMBER, number)
            loss = _epoch(fitting, task, optimiser, material)
            epoch: Epoch = {"epoch": number, "quantiser": int(naming), "loss": loss}
            epoch["stop_loss"] = _judge(task, stop)
            if not np.isfinite(epoch["loss"]):
                raise UserError(f"fold {fitting.fold.number} diverged in pre-training; lower pretraining.lr")
            history.append(epoch)
            fitting.report(epoch)
            ended(partial(_state, task, optimiser, history))
    return history


def masked_frames(lengths_B: Tensor, frames: int, config: Pretraining, generator: torch.Generator) -> Tensor:
    """Spans of frames, (B, T) bool: every clip has at least one, about `share` of its frames are in one."""
    number_T = torch.arange(frames)
    lengths_B = lengths_B.cpu()
    spans_B = (lengths_B * config.share / config.span).round().clamp(min=1)
    # So many random first frames of each clip: those with the smallest of as many random numbers as there are frames.
    order_BT = torch.rand(len(lengths_B), frames, generator=generator)
    order_BT = order_BT.masked_fill(number_T >= (lengths_B - config.span + 1).clamp(min=1)[:, None], 2.0)
    first_BT = order_BT.argsort(1).argsort(1) < spans_B[:, None]
    first_BT &= order_BT < 2.0
    reached_BT = nn.functional.pad(first_BT.cumsum(1), (config.span, 0))
    masked_BT = reached_BT[:, config.span :] > reached_BT[:, :frames]
    return masked_BT & (number_T < lengths_B[:, None])


def _state(task: _Task, optimiser: torch.optim.Optimizer, history: list[Epoch]) -> State:
    return {
        "history": history, "model": task.model.state_dict(), "head": task.head.state_dict(),
        "optimiser": optimiser.state_dict(),
    }  # fmt: skip


def _make_task(model: Recogniser, config: Pretraining, units: Units | None, device: torch.device) -> _Task:
    state_size = cast(FrameModel, model.model).state_size
    outputs = model.frontend.size if units is None else len(units.columns) * config.codes
    return _Task(model, nn.Linear(state_size, outputs).to(device), config, units)


def _epoch(fitting: Fitting, task: _Task, optimiser: torch.optim.Optimizer, material: Material) -> float:
    recipe, team = fitting.recipe, fitting.team
    batches = torch.randperm(material.size, generator=fitting.common).split(recipe.train.batch_size)
    shares = team.mine(batches)
    loaded = material.batches(shares)
    task.model.train()
    both = nn.ModuleList([task.model, task.head])
    total = torch.zeros(1, device=fitting.device, dtype=torch.float64)
    for batch, share in zip(batches, shares, strict=True):
        optimiser.zero_grad(set_to_none=True)
        if len(share):
            loss_B = task.loss(next(loaded), fitting.own, precision(recipe, fitting.device))
            (loss_B.sum() / len(batch)).backward()
            total += loss_B.detach().sum()
        team.add_gradients(both)
        torch.nn.utils.clip_grad_norm_(both.parameters(), recipe.optim.clip_norm)
        optimiser.step()
    team.average_buffers(task.model)
    return float(team.total(total)) / material.size


@torch.no_grad()
def _judge(task: _Task, stop: Part) -> float:
    task.model.eval()
    generator = torch.Generator().manual_seed(0)  # the same frames in every epoch
    return sum(float(task.loss(chunk, generator, nullcontext()).sum()) for chunk in stop.chunks()) / len(stop)
