"""The model to begin with: untrained, or with weights of one that was trained before.

Shape suffixes: B clips, N frames, F features, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sigflow.errors import UserError
from sigflow.features.frontend import Sequences
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel
from sigflow.recipes.recipe import Recipe
from sigflow.training.widen import can_widen, places, widen

_HEADS = ("head.weight", "head.bias")  # one row per class
_SHARES = "share_F"  # of what is new, 0
_TOLERANCE = 1e-4  # of the largest logit


@dataclass(frozen=True)
class Start:
    """A trained model's weights, what its outputs stand for, and the recipe that it was built from."""

    weights: dict[str, Tensor]
    labels: Sequence[str]
    recipe: Recipe


def build(recipe: Recipe, num_classes: int) -> Recogniser:
    """The recipe's untrained model."""
    return Recogniser(recipe.frontend, recipe.model, num_classes, recipe.auxiliary.heads)


@torch.no_grad()
def begin_with(model: Recogniser, labels: Sequence[str], start: Start) -> None:
    """Take over all that fits, in place; of the head the rows of the labels that both know, the others stay new.

    The scaler comes along: weights mean what they meant only on numbers of the same scale. A network of the same kind
    that is wider gets the smaller one inside it, and says the same as that one at first.

    Raises:
        UserError: the weights are those of another network, or one that cannot be widened.
    """
    solved = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, RocketModel))
    strange, widened = [], False
    for name, mine in model.state_dict().items():
        theirs = start.weights.get(name)
        fits = theirs is not None and _fits(name, theirs, mine)
        if theirs is None or not fits:
            if not name.startswith(("auxiliary", *solved)):  # new for what is new, solved anew in any case
                strange.append(name)
        elif name.endswith(_HEADS) and not name.startswith("auxiliary"):
            widened |= theirs.shape[1:] != mine.shape[1:]
            _take_head(theirs, mine, labels, start.labels)
        else:
            widened |= theirs.shape != mine.shape
            if name.endswith(_SHARES):
                mine.zero_()
            widen(theirs, mine) if theirs.ndim else mine.copy_(theirs)
    if strange:
        raise UserError(
            f"--init holds another network: {strange[0]} does not fit ({len(strange)} of "
            f"{len(model.state_dict())}); use the same features and model as the run that is named, or a wider one"
        )
    if widened and not _says_the_same(model, labels, start):
        raise UserError(
            "--init: this network cannot be widened without changing what it says; widen lstm, bilstm, mlp or graph"
        )


def _fits(name: str, theirs: Tensor, mine: Tensor) -> bool:
    if name.startswith("scaler.") or theirs.shape == mine.shape:  # other features are other columns, not more of them
        return theirs.shape == mine.shape
    if name.endswith(_HEADS):
        return can_widen(theirs[:0], mine[:0])
    return can_widen(theirs, mine)


def _take_head(theirs: Tensor, mine: Tensor, labels: Sequence[str], their_labels: Sequence[str]) -> None:
    if len(theirs) == len(their_labels):
        pairs = [(row, their_labels.index(label)) for row, label in enumerate(labels) if label in their_labels]
    elif list(labels) == list(their_labels):  # one output for two classes: it is about them both
        pairs = [(0, 0)]
    else:
        return
    for row, their_row in pairs:
        mine[row] = 0.0
        where = places(theirs.shape[1], mine.shape[1]) if theirs.ndim > 1 else ...
        mine[row, where] = theirs[their_row].to(mine.device)


def _says_the_same(model: Recogniser, labels: Sequence[str], start: Start) -> bool:
    """On made-up features, of the labels that both know."""
    shared = [label for label in labels if label in start.labels]
    device = model.scaler.mean.device
    with torch.random.fork_rng(devices=[]):
        before = build(start.recipe, len(start.labels)).to(device).eval()
    before.load_state_dict({name: start.weights[name] for name in before.state_dict()})
    generator = torch.Generator().manual_seed(0)
    frames = model.frontend.resampling.num_frames or 30
    values_BNF = torch.randn(8, frames, model.frontend.size, generator=generator).to(device)
    sequences = Sequences(values_BNF * model.scaler.std + model.scaler.mean, torch.full((8,), frames, device=device))
    trained = model.training
    old, new = before.classify(sequences), model.eval().classify(sequences)
    model.train(trained)
    mine, theirs = ([list(names).index(label) for label in shared] for names in (labels, start.labels))
    return bool((old[..., theirs] - new[..., mine]).abs().max() <= _TOLERANCE * old.abs().max()) if shared else True
