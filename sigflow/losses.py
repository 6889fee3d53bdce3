"""Losses: logits and targets to one number per clip, not averaged.

Shape suffixes: B batch, N frames, G glosses of a sentence, K classes.
"""

from typing import Annotated, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.decoding import BLANK


class CrossEntropy(Config):
    """Softmax cross-entropy. `smoothing` spreads that share of the target over all classes (Szegedy et al. 2016)."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: bool = False  # n / (classes * count), by the class's own index


class Focal(Config):
    """Focal loss (Lin et al. 2017): clips that are right already count less, by (1 - p) ** gamma.

    softmax: one choice among K. sigmoid: each class for itself against the rest, summed; of two classes it is the one
    question whether the second is there. `alpha` weighs "is there", 1 - alpha "is not there"; none with softmax of
    more than two classes, which has no such question.
    """

    kind: Literal["focal"] = "focal"
    activation: Literal["softmax", "sigmoid"] = "softmax"
    gamma: float = Field(default=2.0, ge=0)
    alpha: float | None = Field(default=None, gt=0, lt=1)
    class_weights: bool = False


class Ctc(Config):
    """Connectionist temporal classification (Graves et al. 2006), with remedies against predicting blank everywhere.

    All are off at 0. `blank_penalty`: times the mean probability of blank. `label_prior`: power of the batch's mean
    probability of each class by which probabilities are divided before the loss, in training alone (Zeyer et al.
    2021). `entropy`: times the mean entropy of a frame, taken off the loss, so that being sure too early costs.
    `alignment`: times the cross-entropy of each frame with the gloss that is signed there, blank between glosses; where
    the frames of glosses are known, as in composed sentences.
    """

    kind: Literal["ctc"] = "ctc"
    blank_penalty: float = Field(default=0.0, ge=0)
    label_prior: float = Field(default=0.0, ge=0, le=1)
    entropy: float = Field(default=0.0, ge=0)
    alignment: float = Field(default=0.0, ge=0)


LossConfig: TypeAlias = Annotated[CrossEntropy | Focal | Ctc, Field(discriminator="kind")]


def classification_loss(
    logits_BK: Float[Tensor, "B K"],
    target_BK: Float[Tensor, "B K"],
    config: CrossEntropy | Focal,
    weight_K: Float[Tensor, " K"] | None,
) -> Float[Tensor, " B"]:
    """Loss per clip; targets are shares that add up to 1. With weights, each class's term is multiplied by its own."""
    match config:
        case CrossEntropy():
            return nn.functional.cross_entropy(
                logits_BK, target_BK, weight=weight_K, label_smoothing=config.smoothing, reduction="none"
            )
        case Focal(activation="sigmoid") if logits_BK.shape[1] > 2:
            log_p_BK, log_q_BK = nn.functional.logsigmoid(logits_BK), nn.functional.logsigmoid(-logits_BK)
            alpha = 0.5 if config.alpha is None else config.alpha
            there_BK = -2 * alpha * log_q_BK.exp() ** config.gamma * log_p_BK
            absent_BK = -2 * (1 - alpha) * log_p_BK.exp() ** config.gamma * log_q_BK
            weights_1K = 1.0 if weight_K is None else weight_K[None]
            return ((target_BK * there_BK + (1 - target_BK) * absent_BK) * weights_1K).sum(1)
        case Focal():
            log_p_BK = logits_BK.log_softmax(1)
            terms_BK = -target_BK * (1 - log_p_BK.exp()) ** config.gamma * log_p_BK
            if config.alpha is not None and logits_BK.shape[1] == 2:
                terms_BK = terms_BK * terms_BK.new_tensor([2 - 2 * config.alpha, 2 * config.alpha])
            return (terms_BK if weight_K is None else terms_BK * weight_K).sum(1)


def ctc_loss(
    logits_BNK: Float[Tensor, "B N K"],
    lengths_B: Int[Tensor, " B"],
    glosses_BG: Int[Tensor, "B G"],
    gloss_lengths_B: Int[Tensor, " B"],
    config: Ctc,
) -> Float[Tensor, " B"]:
    """Loss per clip, divided by its number of glosses. Class 0 is the blank; frames beyond `lengths_B` are ignored.

    CTC takes nothing from a sentence that does not fit into its frames (repeated glosses need a blank between them);
    `fits` tells which.
    """
    valid_BN = torch.arange(logits_BNK.shape[1], device=logits_BNK.device) < lengths_B[:, None]
    log_probs_BNK = logits_BNK.log_softmax(2)
    scored_BNK = log_probs_BNK
    if config.label_prior:
        prior_K = (log_probs_BNK.exp() * valid_BN[:, :, None]).sum((0, 1)) / valid_BN.sum().clamp(min=1)
        scored_BNK = log_probs_BNK - config.label_prior * prior_K.detach().clamp(min=1e-4).log()
    loss_B = nn.functional.ctc_loss(
        scored_BNK.transpose(0, 1), glosses_BG, lengths_B, gloss_lengths_B,
        blank=BLANK, reduction="none", zero_infinity=True,
    )  # fmt: skip
    if config.label_prior:
        # torch's gradient takes its input for normalised and adds exp(score), which is taken off again here.
        added_B = (scored_BNK.exp() * valid_BN[:, :, None]).sum((1, 2)) * (loss_B.detach() != 0)
        loss_B = loss_B - (added_B - added_B.detach())
    loss_B = loss_B / gloss_lengths_B.clamp(min=1)
    if config.blank_penalty:
        loss_B = loss_B + config.blank_penalty * _mean(log_probs_BNK[:, :, BLANK].exp(), valid_BN)
    if config.entropy:
        entropy_BN = -(log_probs_BNK.exp() * log_probs_BNK).sum(2)
        loss_B = loss_B - config.entropy * _mean(entropy_BN, valid_BN)
    return loss_B


def alignment_loss(
    logits_BNK: Float[Tensor, "B N K"],
    signing_BN: Float[Tensor, "B N"],
    glosses_BG: Int[Tensor, "B G"],
    gloss_lengths_B: Int[Tensor, " B"],
) -> Float[Tensor, " B"]:
    """Mean cross-entropy of frames. `signing_BN`: 1 where a gloss is signed, 0 between, NaN unknown or padding.

    Every stretch of 1 is the next gloss; a clip whose stretches are not as many as its glosses costs nothing.
    """
    inside_BN = signing_BN > 0.5
    begins_BN = inside_BN & ~nn.functional.pad(inside_BN, (1, -1))
    number_BN = (begins_BN.cumsum(1) - 1).clamp(0, glosses_BG.shape[1] - 1)
    target_BN = torch.where(inside_BN, glosses_BG.gather(1, number_BN), BLANK)
    known_BN = ~signing_BN.isnan() & (begins_BN.sum(1) == gloss_lengths_B)[:, None]
    loss_BN = nn.functional.cross_entropy(logits_BNK.transpose(1, 2), target_BN, reduction="none")
    return (loss_BN * known_BN).sum(1) / known_BN.sum(1).clamp(min=1)


def auxiliary_loss(answer_BNC: Float[Tensor, "B N C"], taught_BNC: Float[Tensor, "B N C"], head: str) -> Tensor:
    """Loss per clip (B,), a mean over what is known; 0 where nothing is. NaN in `taught_BNC`: nobody knows.

    phonology: Huber's loss of standardised features. segmentation: binary cross-entropy of "signing" and "begins",
    each a share from 0 to 1.
    """
    known_BNC = ~taught_BNC.isnan()
    taught_BNC = taught_BNC.nan_to_num(0.0)
    if head == "phonology":
        loss_BNC = nn.functional.smooth_l1_loss(answer_BNC, taught_BNC, reduction="none")
    else:
        loss_BNC = nn.functional.binary_cross_entropy_with_logits(answer_BNC, taught_BNC, reduction="none")
    return (loss_BNC * known_BNC).sum((1, 2)) / known_BNC.sum((1, 2)).clamp(min=1)


def fits(lengths_B: Int[Tensor, " B"], glosses_BG: Int[Tensor, "B G"], gloss_lengths_B: Int[Tensor, " B"]) -> Tensor:
    """Whether each sentence fits into its frames, (B,) bool: one frame a gloss, and one between equal neighbours."""
    inside_BG = torch.arange(glosses_BG.shape[1], device=glosses_BG.device) < gloss_lengths_B[:, None]
    before_BG = torch.cat([torch.full_like(glosses_BG[:, :1], BLANK), glosses_BG[:, :-1]], 1)
    repeats_B = ((glosses_BG == before_BG) & inside_BG).sum(1)
    return lengths_B >= gloss_lengths_B + repeats_B


def _mean(values_BN: Float[Tensor, "B N"], valid_BN: Bool[Tensor, "B N"]) -> Float[Tensor, " B"]:
    return (values_BN * valid_BN).sum(1) / valid_BN.sum(1).clamp(min=1)
