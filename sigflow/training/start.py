"""Weights to begin with: of a model that was trained before, on other clips or for other labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sigflow.errors import UserError
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel

_HEADS = ("head.weight", "head.bias")  # one row per class


@dataclass(frozen=True)
class Start:
    """A trained model's weights, and what its outputs stand for."""

    weights: dict[str, Tensor]
    labels: Sequence[str]


@torch.no_grad()
def begin_with(model: Recogniser, labels: Sequence[str], start: Start) -> None:
    """Take over all that fits, in place; of the head the rows of the labels that both know, the others stay new.

    The scaler comes along: weights mean what they meant only on numbers of the same scale.

    Raises:
        UserError: the weights are those of another network.
    """
    rows = [(mine, start.labels.index(label)) for mine, label in enumerate(labels) if label in start.labels]
    solved = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, RocketModel))
    strange = []
    for name, mine in model.state_dict().items():
        theirs = start.weights.get(name)
        if name.startswith(("auxiliary", *solved)):  # new for what is new, solved anew in any case
            if theirs is not None and theirs.shape == mine.shape:
                mine.copy_(theirs)
        elif theirs is None or (
            theirs.shape[1:] != mine.shape[1:] if name.endswith(_HEADS) else theirs.shape != mine.shape
        ):
            strange.append(name)
        elif not name.endswith(_HEADS):
            mine.copy_(theirs)
        elif len(theirs) == len(start.labels):
            for row, their_row in rows:
                mine[row] = theirs[their_row].to(mine.device)
        elif list(labels) == list(start.labels):  # one output for two classes: it is about them both
            mine.copy_(theirs)
    if strange:
        raise UserError(
            f"--init holds another network: {strange[0]} does not fit ({len(strange)} of "
            f"{len(model.state_dict())}); use the same features and model as the run that is named"
        )
