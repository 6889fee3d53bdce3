"""What one batch costs.

Shape suffixes: B batch, N clips, T frames, F features, C outputs of an auxiliary head, K classes.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sigflow.data.augment import mix
from sigflow.data.targets import Targets
from sigflow.features.frontend import Sequences
from sigflow.losses import Ctc, alignment_loss, auxiliary_loss, classification_loss, ctc_loss
from sigflow.models.recogniser import Recogniser
from sigflow.recipes.recipe import Recipe
from sigflow.training.judge import decoded
from sigflow.training.parts import Batch, Fitting


def batch_loss(fitting: Fitting, model: Recogniser, batch: Batch, weight_K: Tensor | None) -> tuple[Tensor, Tensor]:
    """Loss of each clip, and whether it is recognised (a sentence: in full)."""
    recipe, (sequences, targets, extra) = fitting.recipe, batch
    match recipe.loss:
        case Ctc():
            logits_BTK, others = _answer(fitting, model, sequences)
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
            logits_BK, others = _answer(fitting, model, sequences._replace(values=mixed_BTF))
            loss_B = classification_loss(logits_BK, target_BK, loss, weight_K)
            right_B = logits_BK.detach().argmax(1) == target_BK.argmax(1)
    for name, answer_BTC in others.items():
        taught_BTC = extra[name]
        if name in model.auxiliary_scalers:
            taught_BTC = torch.where(taught_BTC.isnan(), taught_BTC, model.auxiliary_scalers[name](taught_BTC))
        loss_B = loss_B + getattr(recipe.auxiliary, name) * auxiliary_loss(answer_BTC, taught_BTC, name)
    return loss_B, right_B


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[Any]:
    """In what the network computes while it is trained; features, losses, weights and their gradients are float32."""
    if recipe.train.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _answer(fitting: Fitting, model: Recogniser, sequences: Sequences) -> tuple[Tensor, dict[str, Tensor]]:
    with precision(fitting.recipe, fitting.device):
        logits, others = model.answer(sequences)
    return logits.float(), {name: answer_BTC.float() for name, answer_BTC in others.items()}


def class_weights(targets: Targets, num_classes: int) -> Tensor:
    """n / (classes * count) at each class's own index; a class without clips gets 0."""
    classes_N = targets.glosses[:, 0]
    count_K = torch.bincount(classes_N, minlength=num_classes)
    weight_K = len(classes_N) / (num_classes * count_K.clamp(min=1))
    return torch.where(count_K > 0, weight_K, torch.zeros_like(weight_K))
