"""What a model says of clips, and how good that is.

Shape suffixes: N clips, T frames, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.decoding import ctc_greedy
from sigflow.features.frontend import Sequences
from sigflow.losses import Ctc, ctc_loss
from sigflow.metrics import (
    blank_ratio,
    classification,
    confusion,
    f1_per_class,
    macro_f1,
    transcription,
    word_error_rate,
)
from sigflow.models.recogniser import Recogniser
from sigflow.monitors import Epoch, diversity
from sigflow.training.parts import Batch, Part

_BATCH = 256


@torch.no_grad()
def logits_of(model: Recogniser, part: Part) -> tuple[Tensor, Tensor]:
    """Logits (N, K), or (N, T, K) padded with 0, and the lengths (N,) after resampling."""
    logits, lengths = zip(*(_chunk_logits(model, chunk) for chunk in part.chunks()), strict=True)
    return _joined(logits), torch.cat(lengths)


def _chunk_logits(model: Recogniser, chunk: Batch) -> tuple[Tensor, Tensor]:
    model.eval()
    values_NTF, lengths_N = chunk.sequences
    found = []
    for rows in torch.arange(len(lengths_N), device=lengths_N.device).split(_BATCH):
        values = values_NTF[rows, : int(lengths_N[rows].max())]
        found.append(model.classify(Sequences(values, lengths_N[rows])))
    return _joined(found), lengths_N


def _joined(found: Sequence[Tensor]) -> Tensor:
    if found[0].ndim == 3:
        longest = max(logits.shape[1] for logits in found)
        found = [nn.functional.pad(logits, (0, 0, 0, longest - logits.shape[1])) for logits in found]
    return torch.cat(list(found))


def evaluate(model: Recogniser, part: Part) -> Epoch:
    """Plain loss (no weights, no smoothing), what is recognised, and how diverse the answers are."""
    if part.fitting.recipe.sentences:
        return _evaluate_sentences(model, part)
    logits, _ = logits_of(model, part)
    targets = part.targets
    target_N, predicted_N = targets.glosses[:, 0].cpu(), logits.argmax(1).cpu()
    counts_KK = confusion(target_N.numpy(), predicted_N.numpy(), logits.shape[1])
    pair = {"f1": float(np.nan_to_num(f1_per_class(counts_KK)[1]))} if len(counts_KK) == 2 else {}
    return {
        "loss": float(nn.functional.cross_entropy(logits.cpu(), target_N)),
        "accuracy": float((predicted_N == target_N).float().mean()),
        **pair,  # of the second class, where there are two
        "macro_f1": macro_f1(target_N.numpy(), predicted_N.numpy(), logits.shape[1]),
        **diversity(predicted_N.tolist(), logits.shape[1]),
    }


@torch.no_grad()
def _evaluate_sentences(model: Recogniser, part: Part) -> Epoch:
    """Chunk by chunk: an answer for every frame may take more than what it was computed from."""
    true = part.targets.sentences()
    given: list[list[int]] = []
    losses, blanks, frames, classes = [], 0.0, 0, 0
    for chunk in part.chunks():
        logits_NTK, lengths_N = _chunk_logits(model, chunk)
        losses.append(ctc_loss(logits_NTK, lengths_N, chunk.targets.glosses, chunk.targets.lengths, Ctc()))
        given += decoded(logits_NTK, lengths_N)
        here, classes = int(lengths_N.sum()), logits_NTK.shape[2]
        blanks += blank_ratio(unpadded(logits_NTK.cpu().numpy(), lengths_N)) * here
        frames += here
    return {
        "loss": float(torch.cat(losses).mean()),
        "accuracy": sum(mine == theirs for mine, theirs in zip(given, true, strict=True)) / len(true),
        "wer": word_error_rate(true, given),
        "blank_ratio": round(blanks) / frames,
        **diversity([gloss for sentence in given for gloss in sentence], classes - 1),
    }


def test_metrics(
    probs: list[np.ndarray], part: Part, labels: Sequence[str], subjects: Sequence[str | None]
) -> dict[str, Any]:
    """Of `probs`, one array per clip."""
    if probs[0].ndim == 2:
        return transcription(probs, part.targets.sentences(), labels, subjects)
    return classification(np.array(probs), part.targets.glosses[:, 0].cpu().numpy(), labels, subjects)


def decoded(logits_BTK: Tensor, lengths_B: Tensor) -> list[list[int]]:
    """Greedily."""
    return [ctc_greedy(frames) for frames in unpadded(logits_BTK.cpu().numpy(), lengths_B)]


def unpadded(probs: np.ndarray, lengths_N: Tensor) -> list[np.ndarray]:
    """One array per clip, (K,), or (T, K) of its frames."""
    if probs.ndim == 2:
        return list(probs)
    return [frames[:length] for frames, length in zip(probs, lengths_N.tolist(), strict=True)]
