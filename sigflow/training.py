"""Fit one fold: plain PyTorch, no Ray.

Shape suffixes: N clips of a part, T frames after resampling, F features, K classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.augment import Augmentation, augment, mix
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.features.frontend import Sequences, compute_features
from sigflow.losses import cross_entropy
from sigflow.metrics import classification, macro_f1
from sigflow.models.recogniser import Recogniser
from sigflow.optim import make_optimiser
from sigflow.recipes.recipe import Recipe

Epoch = dict[str, int | float]
_EVAL_BATCH = 256


@dataclass(frozen=True)
class FoldResult:
    """The best epoch's weights, what every epoch was like, and what the weights say of the test part."""

    fold: int
    weights: dict[str, Tensor]
    history: list[Epoch]
    best_epoch: int
    test_probs_NK: np.ndarray
    metrics: dict[str, Any]  # of the test part


def fit(
    recipe: Recipe,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    *,
    device: torch.device | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
) -> FoldResult:
    """Train on the fold's train part, keep the epoch that is best on its stop part, predict its test part.

    The same recipe, clips, fold and machine give the same result; the caller's random state is left alone.

    Raises:
        UserError: the loss is no number any more.
    """
    device = device or torch.device("cpu")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.train.seed * 1009 + fold.number)
        return _fit(recipe, clips, labels, fold, device, report)


def build(recipe: Recipe, num_classes: int) -> Recogniser:
    """The recipe's untrained model."""
    return Recogniser(recipe.frontend, recipe.model, num_classes)


def _fit(
    recipe: Recipe,
    clips: Clips,
    labels: Sequence[str],
    fold: Fold,
    device: torch.device,
    report: Callable[[Epoch], None],
) -> FoldResult:
    class_index = {label: k for k, label in enumerate(labels)}
    # A label that only the holdout has is no class; no fold holds its clips.
    target_S = torch.tensor([class_index.get(str(label), -1) for label in clips.column("label")], device=device)
    clips = clips.to(device)
    train, stop, test = (_features(recipe, clips, rows) for rows in (fold.train, fold.stop, fold.test))
    train_y, stop_y = target_S[fold.train], target_S[fold.stop]
    weight_K = _class_weights(train_y, len(labels)) if recipe.loss.class_weights else None

    model = build(recipe, len(labels)).to(device)
    model.scaler.fit(train.values)
    optimiser = make_optimiser(model, recipe.optim)
    generator = torch.Generator().manual_seed(torch.initial_seed())
    history: list[Epoch] = []
    best, best_score, best_epoch = _weights(model), -np.inf, 0
    for number in range(1, recipe.train.epochs + 1):
        if recipe.augmentation != Augmentation():
            train = _features(recipe, clips, fold.train, generator)
        epoch = _train_epoch(model, optimiser, recipe, train, train_y, weight_K, generator)
        epoch |= {f"stop_{name}": value for name, value in _evaluate(model, stop, stop_y).items()}
        epoch = {"epoch": number, **epoch}
        if not np.isfinite(epoch["loss"]) or not np.isfinite(epoch["stop_loss"]):
            raise UserError(f"fold {fold.number} diverged in epoch {number}: the loss is not finite; lower optim.lr")
        history.append(epoch)
        report(epoch)
        score = epoch["stop_macro_f1"] if recipe.train.stop_on == "macro_f1" else -epoch["stop_loss"]
        if score > best_score + recipe.train.min_delta:
            best, best_score, best_epoch = _weights(model), score, number
        elif number - best_epoch >= recipe.train.patience:
            break
    model.load_state_dict(best)
    probs_NK = _logits(model, test).softmax(1).cpu().numpy()
    subjects = clips.column("subject")
    metrics = classification(probs_NK, target_S[fold.test].cpu().numpy(), labels, [subjects[i] for i in fold.test])
    return FoldResult(fold.number, best, history, best_epoch, probs_NK, metrics)


def _features(recipe: Recipe, clips: Clips, rows: np.ndarray, generator: torch.Generator | None = None) -> Sequences:
    """Of the clips `rows`, augmented if there is a generator; in large batches, which cost less than a step's own."""
    values, lengths = [], []
    with torch.no_grad():
        for start in range(0, len(rows), _EVAL_BATCH):
            inputs = clips.batch(rows[start : start + _EVAL_BATCH].tolist())
            if generator is not None:
                inputs = augment(inputs, recipe.augmentation, generator)
            sequences = compute_features(inputs, recipe.frontend)
            values.append(sequences.values)
            lengths.append(sequences.lengths)
    longest = max(part.shape[1] for part in values)
    padded = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[1]), value=torch.nan) for part in values]
    return Sequences(torch.cat(padded), torch.cat(lengths))


def _take(sequences: Sequences, rows: Tensor) -> Sequences:
    """Without the padding that only longer clips need."""
    lengths_B = sequences.lengths[rows]
    return Sequences(sequences.values[rows, : int(lengths_B.max())], lengths_B)


def _train_epoch(
    model: Recogniser,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    train: Sequences,
    target_N: Tensor,
    weight_K: Tensor | None,
    generator: torch.Generator,
) -> Epoch:
    model.train()
    order_N = torch.randperm(len(target_N)).to(target_N.device)  # drawn on the CPU: the same order on every device
    target_NK = nn.functional.one_hot(target_N, model.num_classes).to(train.values.dtype)
    loss_sum, right, norms = 0.0, 0, []
    for rows in order_N.split(recipe.train.batch_size):
        sequences, target_BK = _take(train, rows), target_NK[rows]
        mixed_BNF, target_BK = mix(sequences.values, target_BK, recipe.mixing, generator)
        logits_BK = model.classify(sequences._replace(values=mixed_BNF))
        loss_B = cross_entropy(logits_BK, target_BK, recipe.loss, weight_K)
        optimiser.zero_grad(set_to_none=True)
        loss_B.mean().backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm))
        optimiser.step()
        loss_sum += float(loss_B.detach().sum())
        right += int((logits_BK.argmax(1) == target_BK.argmax(1)).sum())
    return {
        "loss": loss_sum / len(target_N),
        "accuracy": right / len(target_N),
        "grad_norm": float(torch.stack(norms).max()),
    }


def _evaluate(model: Recogniser, sequences: Sequences, target_N: Tensor) -> Epoch:
    logits_NK = _logits(model, sequences)
    predicted_N = logits_NK.argmax(1)
    return {
        "loss": float(nn.functional.cross_entropy(logits_NK, target_N)),
        "accuracy": float((predicted_N == target_N).float().mean()),
        "macro_f1": macro_f1(target_N.cpu().numpy(), predicted_N.cpu().numpy(), logits_NK.shape[1]),
        "distinct_predicted": float(len(predicted_N.unique())),
    }


@torch.no_grad()
def _logits(model: Recogniser, sequences: Sequences) -> Tensor:
    model.eval()
    rows_N = torch.arange(len(sequences.lengths), device=sequences.lengths.device)
    return torch.cat([model.classify(_take(sequences, rows)) for rows in rows_N.split(_EVAL_BATCH)])


def _weights(model: Recogniser) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}


def _class_weights(target_N: Tensor, num_classes: int) -> Tensor:
    """n / (classes * count) at each class's own index; a class without clips gets 0."""
    count_K = torch.bincount(target_N, minlength=num_classes)
    weight_K = len(target_N) / (num_classes * count_K.clamp(min=1))
    return torch.where(count_K > 0, weight_K, torch.zeros_like(weight_K))
