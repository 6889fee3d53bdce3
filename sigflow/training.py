"""Fit one fold: plain PyTorch, no Ray.

Shape suffixes: N clips of a part, T frames after resampling, F features, K classes, G glosses.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.augment import Augmentation, augment, mix
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets, make_targets, words
from sigflow.decoding import ctc_greedy
from sigflow.errors import UserError
from sigflow.features.frontend import Sequences, compute_features
from sigflow.losses import Ctc, classification_loss, ctc_loss
from sigflow.metrics import blank_ratio, classification, macro_f1, transcription, word_error_rate
from sigflow.models.portfolio import Portfolio, mixture_weights
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel
from sigflow.optim import LearningRate, averaged, make_optimiser
from sigflow.recipes.recipe import Recipe

Epoch = dict[str, int | float]
_EVAL_BATCH = 256


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


class _Part(NamedTuple):
    sequences: Sequences
    targets: Targets


@dataclass(frozen=True)
class _Fitting:
    """What all steps of one fold share."""

    recipe: Recipe
    clips: Clips
    labels: Sequence[str]
    fold: Fold
    targets: Targets
    report: Callable[[Epoch], None]
    device: torch.device
    generator: torch.Generator


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
        UserError: the loss is no number any more, or the clips are not labelled for this recipe.
    """
    device = device or torch.device("cpu")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        seed = recipe.train.seed * 1009 + fold.number
        torch.manual_seed(seed)
        targets = make_targets(words(clips, sentences=recipe.sentences), labels).to(device)
        generator = torch.Generator().manual_seed(seed)
        return _fit(_Fitting(recipe, clips.to(device), labels, fold, targets, report, device, generator))


def build(recipe: Recipe, num_classes: int) -> Recogniser:
    """The recipe's untrained model."""
    return Recogniser(recipe.frontend, recipe.model, num_classes)


def _fit(fitting: _Fitting) -> FoldResult:
    recipe, fold = fitting.recipe, fitting.fold
    train, stop, test = (_part(fitting, rows) for rows in (fold.train, fold.stop, fold.test))
    model = build(recipe, len(fitting.labels)).to(fitting.device)
    model.scaler.fit(train.sequences.values)
    history: list[Epoch] = []
    best_epoch = 0
    if isinstance(model.model, Portfolio):
        for number, member in enumerate(model.model.members):
            best_epoch = _fit_model(fitting, model.only(member), train, stop, history, {"member": number})
        members = [_logits(model.only(member), stop.sequences).softmax(-1) for member in model.model.members]
        right = stop.targets.glosses[:, 0]
        model.model.weights.copy_(mixture_weights(torch.stack([_of_class(probs, right) for probs in members])))
    else:
        best_epoch = _fit_model(fitting, model, train, stop, history, {})
    probs = _logits(model, test.sequences).softmax(-1).float().cpu().numpy()
    return FoldResult(
        fold.number, _weights(model), history, best_epoch,
        _unpadded(probs, test.sequences.lengths, recipe),
        _test_metrics(fitting, probs, test),
    )  # fmt: skip


def _fit_model(
    fitting: _Fitting, model: Recogniser, train: _Part, stop: _Part, history: list[Epoch], extra: Epoch
) -> int:
    """Train `model` in place, up to its best epoch, which is given."""
    recipe = fitting.recipe
    if isinstance(model.model, RocketModel):  # solved, not descended to
        x_NTF, lengths_N, _ = model.prepare(train.sequences)
        model.model.fit(x_NTF, lengths_N, train.targets.glosses[:, 0])
        solved = {"epoch": 1, **extra} | _evaluate(model, train, recipe) | _prefixed(_evaluate(model, stop, recipe))
        history.append(solved)
        fitting.report(solved)
        return 1
    optimiser = make_optimiser(model, recipe.optim)
    steps = -(-len(train.targets.lengths) // recipe.train.batch_size)
    rate = LearningRate(optimiser, recipe.optim, steps_per_epoch=steps, epochs=recipe.train.epochs)
    average = averaged(model, recipe.optim.ema_decay)
    weight_K = _class_weights(train.targets, len(fitting.labels)) if recipe.loss_weights else None
    best, best_score, best_epoch = _weights(model), -np.inf, 0
    for number in range(1, recipe.train.epochs + 1):
        if recipe.augmentation != Augmentation():
            train = _part(fitting, fitting.fold.train, fitting.generator)
        epoch: Epoch = {"epoch": number, **extra}
        epoch |= _train_epoch(fitting, model, train, weight_K, optimiser, rate, average)
        judged = model
        if average is not None:
            judged = cast(Recogniser, average.module)
            for mine, its in zip(judged.buffers(), model.buffers(), strict=True):
                mine.copy_(its)
        epoch |= _prefixed(_evaluate(judged, stop, recipe))
        if not np.isfinite(epoch["loss"]) or not np.isfinite(epoch["stop_loss"]):
            raise UserError(
                f"fold {fitting.fold.number} diverged in epoch {number}: the loss is not finite; lower optim.lr"
            )
        rate.epoch_ended(epoch["stop_loss"])
        history.append(epoch)
        fitting.report(epoch)
        sign = -1 if recipe.train.stop_on in ("loss", "wer") else 1
        score = sign * epoch[f"stop_{recipe.train.stop_on}"]
        if score > best_score + recipe.train.min_delta:
            best, best_score, best_epoch = _weights(judged), score, number
        elif number - best_epoch >= recipe.train.patience:
            break
    model.load_state_dict(best)
    return best_epoch


def _part(fitting: _Fitting, rows: np.ndarray, generator: torch.Generator | None = None) -> _Part:
    """Of the clips `rows`, augmented if there is a generator; in large batches, which cost less than a step's own."""
    values, lengths = [], []
    with torch.no_grad():
        for start in range(0, len(rows), _EVAL_BATCH):
            inputs = fitting.clips.batch(rows[start : start + _EVAL_BATCH].tolist())
            if generator is not None:
                inputs = augment(inputs, fitting.recipe.augmentation, generator)
            sequences = compute_features(inputs, fitting.recipe.frontend)
            values.append(sequences.values)
            lengths.append(sequences.lengths)
    longest = max(part.shape[1] for part in values)
    padded = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[1]), value=torch.nan) for part in values]
    index = torch.from_numpy(rows).to(fitting.device)
    return _Part(Sequences(torch.cat(padded), torch.cat(lengths)), fitting.targets.take(index))


def _take(sequences: Sequences, rows: Tensor) -> Sequences:
    """Without the padding that only longer clips need."""
    lengths_B = sequences.lengths[rows]
    return Sequences(sequences.values[rows, : int(lengths_B.max())], lengths_B)


def _train_epoch(
    fitting: _Fitting,
    model: Recogniser,
    train: _Part,
    weight_K: Tensor | None,
    optimiser: torch.optim.Optimizer,
    rate: LearningRate,
    average: torch.optim.swa_utils.AveragedModel | None,
) -> Epoch:
    recipe = fitting.recipe
    model.train()
    order_N = torch.randperm(len(train.targets.lengths))  # drawn on the CPU: the same order on every device
    loss_sum, right, norms = 0.0, 0, []
    for rows in order_N.to(fitting.device).split(recipe.train.batch_size):
        sequences, targets = _take(train.sequences, rows), train.targets.take(rows)
        with _precision(recipe, fitting.device):
            loss_B, right_B = _loss(fitting, model, sequences, targets, weight_K)
        optimiser.zero_grad(set_to_none=True)
        loss_B.mean().backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm))
        rate.step()
        optimiser.step()
        if average is not None:
            average.update_parameters(model)
        loss_sum += float(loss_B.detach().sum())
        right += int(right_B.sum())
    count = len(order_N)
    return {"loss": loss_sum / count, "accuracy": right / count, "grad_norm": float(torch.stack(norms).max())}


def _loss(
    fitting: _Fitting, model: Recogniser, sequences: Sequences, targets: Targets, weight_K: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Loss of each clip, and whether it is recognised (a sentence: in full)."""
    recipe = fitting.recipe
    match recipe.loss:
        case Ctc():
            logits_BTK = model.classify(sequences).float()
            loss_B = ctc_loss(logits_BTK, sequences.lengths, targets.glosses, targets.lengths, recipe.loss)
            given = _decoded(logits_BTK.detach(), sequences.lengths)
            right = [mine == true for mine, true in zip(given, targets.sentences(), strict=True)]
            return loss_B, torch.tensor(right)
        case loss:
            target_BK = nn.functional.one_hot(targets.glosses[:, 0], len(fitting.labels)).to(sequences.values.dtype)
            mixed_BTF, target_BK = mix(sequences.values, target_BK, recipe.mixing, fitting.generator)
            logits_BK = model.classify(sequences._replace(values=mixed_BTF)).float()
            right_B = logits_BK.detach().argmax(1) == target_BK.argmax(1)
            return classification_loss(logits_BK, target_BK, loss, weight_K), right_B


def _precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    if recipe.optim.mixed_precision and device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def _evaluate(model: Recogniser, part: _Part, recipe: Recipe) -> Epoch:
    """Plain loss (no weights, no smoothing) and what is recognised."""
    logits = _logits(model, part.sequences)
    targets = part.targets
    if recipe.sentences:
        given, true = _decoded(logits, part.sequences.lengths), targets.sentences()
        loss_N = ctc_loss(logits, part.sequences.lengths, targets.glosses, targets.lengths, Ctc())
        return {
            "loss": float(loss_N.mean()),
            "accuracy": sum(mine == theirs for mine, theirs in zip(given, true, strict=True)) / len(true),
            "wer": word_error_rate(true, given),
            "blank_ratio": blank_ratio(_unpadded(logits.cpu().numpy(), part.sequences.lengths, recipe)),
            "distinct_predicted": float(len({gloss for sentence in given for gloss in sentence})),
        }
    target_N, predicted_N = targets.glosses[:, 0], logits.argmax(1)
    return {
        "loss": float(nn.functional.cross_entropy(logits, target_N)),
        "accuracy": float((predicted_N == target_N).float().mean()),
        "macro_f1": macro_f1(target_N.cpu().numpy(), predicted_N.cpu().numpy(), logits.shape[1]),
        "distinct_predicted": float(len(predicted_N.unique())),
    }


def _test_metrics(fitting: _Fitting, probs: np.ndarray, test: _Part) -> dict[str, Any]:
    subjects = fitting.clips.column("subject")
    names = [subjects[i] for i in fitting.fold.test]
    if fitting.recipe.sentences:
        frames = _unpadded(probs, test.sequences.lengths, fitting.recipe)
        return transcription(frames, test.targets.sentences(), fitting.labels, names)
    return classification(probs, test.targets.glosses[:, 0].cpu().numpy(), fitting.labels, names)


@torch.no_grad()
def _logits(model: Recogniser, sequences: Sequences) -> Tensor:
    """(N, K), or (N, T, K) padded with 0."""
    model.eval()
    rows_N = torch.arange(len(sequences.lengths), device=sequences.lengths.device)
    parts = [model.classify(_take(sequences, rows)) for rows in rows_N.split(_EVAL_BATCH)]
    if parts[0].ndim == 3:
        longest = max(part.shape[1] for part in parts)
        parts = [nn.functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts]
    return torch.cat(parts)


def _decoded(logits_BTK: Tensor, lengths_B: Tensor) -> list[list[int]]:
    logits = logits_BTK.cpu().numpy()
    return [ctc_greedy(frames[:length]) for frames, length in zip(logits, lengths_B.tolist(), strict=True)]


def _unpadded(probs: np.ndarray, lengths_N: Tensor, recipe: Recipe) -> list[np.ndarray]:
    if not recipe.sentences:
        return list(probs)
    return [frames[:length] for frames, length in zip(probs, lengths_N.tolist(), strict=True)]


def _prefixed(epoch: Epoch) -> Epoch:
    return {f"stop_{name}": value for name, value in epoch.items()}


def _of_class(probs_NK: Tensor, class_N: Tensor) -> Tensor:
    return probs_NK.gather(1, class_N[:, None])[:, 0]


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}


def _class_weights(targets: Targets, num_classes: int) -> Tensor:
    """n / (classes * count) at each class's own index; a class without clips gets 0."""
    classes_N = targets.glosses[:, 0]
    count_K = torch.bincount(classes_N, minlength=num_classes)
    weight_K = len(classes_N) / (num_classes * count_K.clamp(min=1))
    return torch.where(count_K > 0, weight_K, torch.zeros_like(weight_K))
