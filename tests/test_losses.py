"""If these fail, training pushes the wrong class, rare classes get another's weight, or blanks swallow sentences."""

from math import log

import pytest
import torch
from torch import Tensor

from sigflow.decoding import BLANK
from sigflow.losses import CrossEntropy, Ctc, Focal, alignment_loss, auxiliary_loss, classification_loss, ctc_loss, fits

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TARGET = torch.tensor([0, 1, 2, 3, 0, 0])
ONE_HOT = torch.nn.functional.one_hot(TARGET, 4).float()


def by_hand(smoothing: float, weight_K: Tensor) -> Tensor:
    share_BK = torch.nn.functional.one_hot(TARGET, 4) * (1 - smoothing) + smoothing / 4
    return -(share_BK * weight_K * LOGITS.log_softmax(1)).sum(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_each_clip_has_its_own_loss_by_the_formula(smoothing: float) -> None:
    loss_B = classification_loss(LOGITS, ONE_HOT, CrossEntropy(smoothing=smoothing), None)
    assert torch.allclose(loss_B, by_hand(smoothing, torch.ones(4)), atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weight_counts_for_the_class_with_its_index(smoothing: float) -> None:
    weight_K = torch.tensor([0.5, 1.0, 2.0, 7.0])
    loss_B = classification_loss(LOGITS, ONE_HOT, CrossEntropy(smoothing=smoothing), weight_K)
    assert torch.allclose(loss_B, by_hand(smoothing, weight_K), atol=1e-5)


def test_a_class_of_weight_0_is_not_learnt() -> None:
    logits = LOGITS.clone().requires_grad_()
    classification_loss(logits, ONE_HOT, CrossEntropy(), torch.tensor([0.0, 1, 1, 1])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(1).gt(0).tolist() == [False, True, True, True, False, False]


BINARY = torch.stack([torch.zeros(6), LOGITS[:, 0]], 1)  # one logit, as models with `single_logit` give it
THERE = torch.tensor([0.0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_focal_loss_of_two_classes_is_the_papers(activation: str) -> None:
    config = Focal.model_validate({"activation": activation, "alpha": 0.25, "gamma": 2.0})
    p_B = LOGITS[:, 0].sigmoid()
    right_B = torch.where(THERE == 1, p_B, 1 - p_B)
    alpha_B = torch.where(THERE == 1, 0.25, 0.75)
    expected = -alpha_B * (1 - right_B) ** 2 * right_B.log()
    loss_B = classification_loss(BINARY, torch.stack([1 - THERE, THERE], 1), config, None)
    assert torch.allclose(loss_B, 2 * expected, atol=1e-5)  # twice: equal alphas leave cross-entropy as it is


def test_focal_loss_with_gamma_0_is_cross_entropy() -> None:
    plain = classification_loss(LOGITS, ONE_HOT, CrossEntropy(), None)
    assert torch.allclose(classification_loss(LOGITS, ONE_HOT, Focal(gamma=0.0), None), plain, atol=1e-6)


def test_sigmoid_focal_asks_for_each_class_by_itself() -> None:
    p_BK = LOGITS.sigmoid()
    expected = -(ONE_HOT * (1 - p_BK) ** 2 * p_BK.log() + (1 - ONE_HOT) * p_BK**2 * (1 - p_BK).log()).sum(1)
    assert torch.allclose(classification_loss(LOGITS, ONE_HOT, Focal(activation="sigmoid"), None), expected, atol=1e-5)


LENGTHS, GLOSSES, COUNTS = torch.tensor([6, 4]), torch.tensor([[1, 2], [2, 0]]), torch.tensor([2, 1])
FRAMES = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1))


def test_ctc_is_torchs_own_per_gloss_and_padding_is_ignored() -> None:
    log_probs = FRAMES.log_softmax(2)
    each = [
        torch.nn.functional.ctc_loss(
            log_probs[row, : LENGTHS[row]], GLOSSES[row, : COUNTS[row]], LENGTHS[row], COUNTS[row], reduction="none"
        ) / COUNTS[row]
        for row in range(2)
    ]  # fmt: skip
    loss_B = ctc_loss(FRAMES, LENGTHS, GLOSSES, COUNTS, Ctc())
    assert torch.allclose(loss_B, torch.stack(each).flatten(), atol=1e-5)
    padded = torch.cat([FRAMES, 50 * torch.ones(2, 5, 3)], 1)
    for config in (Ctc(), Ctc(blank_penalty=0.5, label_prior=0.3, entropy=0.1)):
        again = ctc_loss(padded, LENGTHS, GLOSSES, COUNTS, config)
        assert torch.allclose(again, ctc_loss(FRAMES, LENGTHS, GLOSSES, COUNTS, config), atol=1e-5)


@pytest.mark.parametrize("remedy", [{"blank_penalty": 0.5}, {"label_prior": 0.5}, {"entropy": 0.5}])
def test_each_remedy_leaves_fewer_blanks_where_all_was_blank(remedy: dict[str, float]) -> None:
    def blanks(config: Ctc) -> float:
        logits = torch.zeros(2, 6, 3)
        logits[:, :, 0] = 4.0
        logits.requires_grad_()
        optimiser = torch.optim.SGD([logits], lr=0.5)
        for _ in range(30):
            optimiser.zero_grad()
            ctc_loss(logits, LENGTHS, GLOSSES, COUNTS, config).sum().backward()
            optimiser.step()
        return float(logits.detach().softmax(2)[0, :, 0].mean())

    assert blanks(Ctc.model_validate(remedy)) < blanks(Ctc()) - 0.02


def test_a_sentence_that_does_not_fit_costs_nothing_and_is_told() -> None:
    glosses, counts = torch.tensor([[1, 1, 1]]), torch.tensor([3])
    assert ctc_loss(FRAMES[:1], torch.tensor([4]), glosses, counts, Ctc()).tolist() == [0.0]
    assert fits(torch.tensor([4]), glosses, counts).tolist() == [False]
    assert fits(torch.tensor([5]), glosses, counts).tolist() == [True]


def test_each_stretch_of_signing_is_the_next_gloss_and_blank_is_between() -> None:
    signing = torch.tensor([[0.0, 1, 1, 0, 1, float("nan")], [1, 1, 1, 1, 1, 1]])
    glosses, lengths = torch.tensor([[2, 1], [1, 2]]), torch.tensor([2, 2])
    logits = torch.zeros(2, 6, 3)
    for frame, gloss in enumerate([BLANK, 2, 2, BLANK, 1]):
        logits[0, frame, gloss] = 50.0
    logits[0, 5, 0] = -50.0  # nobody knows what is right there
    loss = alignment_loss(logits, signing, glosses, lengths)
    assert loss[0] == pytest.approx(0.0, abs=1e-6)
    assert loss[1] == 0.0  # one stretch, two glosses: not known where the one ends
    wrong = logits.clone()
    wrong[0, 4] = torch.tensor([0.0, 0.0, 50.0])
    assert alignment_loss(wrong, signing, glosses, lengths)[0] == pytest.approx(50 / 5, rel=1e-4)


def test_what_is_not_known_teaches_an_auxiliary_head_nothing() -> None:
    taught = torch.tensor([[[1.0, float("nan")], [0.0, 2.0]], [[float("nan")] * 2] * 2])
    answer = torch.zeros(2, 2, 2)
    loss = auxiliary_loss(answer, taught, "phonology")  # Huber: 0.5, 0 and 1.5 over three known numbers
    assert loss.tolist() == pytest.approx([2.0 / 3, 0.0])
    shares = torch.tensor([[[1.0, 0.0]]])
    assert float(auxiliary_loss(torch.zeros(1, 1, 2), shares, "segmentation")) == pytest.approx(log(2))
