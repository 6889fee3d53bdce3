"""If these fail, sentences come out with glosses that were not signed, or none of those that were."""

import itertools

import numpy as np
import pytest

from sigflow.decoding import BLANK, NGram, ctc_beam, ctc_greedy, threshold


def frames(*classes: int, num_classes: int = 3, sure: float = 0.9) -> np.ndarray:
    probs_NK = np.full((len(classes), num_classes), (1 - sure) / (num_classes - 1))
    probs_NK[np.arange(len(classes)), classes] = sure
    return probs_NK


def test_repeats_are_one_gloss_and_a_blank_parts_two() -> None:
    assert ctc_greedy(frames(0, 1, 1, 0, 1, 2, 2, 0)) == [1, 1, 2]
    assert ctc_greedy(frames(0, 0, 0)) == []
    assert ctc_beam(frames(0, 1, 1, 0, 1, 2, 2, 0)) == [1, 1, 2]


def by_enumeration(probs_NK: np.ndarray) -> list[int]:
    """The likeliest sentence, over all alignments one by one."""
    total: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(int(probs_NK.shape[1])), repeat=len(probs_NK)):
        sentence: tuple[int, ...] = tuple([gloss for gloss, _ in itertools.groupby(path) if gloss != BLANK])
        total[sentence] = total.get(sentence, 0) + float(np.prod(probs_NK[np.arange(len(path)), path]))
    best = max(total, key=lambda sentence: total[sentence])
    return list(best)


@pytest.mark.parametrize("seed", range(8))
def test_a_wide_beam_finds_the_likeliest_sentence(seed: int) -> None:
    probs_NK = np.random.default_rng(seed).dirichlet(np.full(3, 0.6), 5)
    assert ctc_beam(probs_NK, beam=300) == by_enumeration(probs_NK)


def test_the_beam_adds_up_alignments_that_greedy_does_not() -> None:
    probs_NK = np.array([[0.6, 0.4], [0.6, 0.4]])  # blank-blank 0.36, but "1" in all of its ways 0.64
    assert ctc_greedy(probs_NK) == []
    assert ctc_beam(probs_NK) == [1]


def test_an_ngram_decides_between_glosses_that_look_alike() -> None:
    ngram = NGram([[1, 2]] * 20 + [[2, 1]], order=2, num_classes=3)
    unsure = np.array([[0.02, 0.96, 0.02], [0.96, 0.02, 0.02], [0.02, 0.6, 0.38]])
    assert ctc_beam(unsure) == [1, 1]
    assert ctc_beam(unsure, ngram=ngram, ngram_weight=1.0) == [1, 2]


def test_an_ngrams_probabilities_add_up_to_one_and_are_never_zero() -> None:
    ngram = NGram([[1, 2, 3], [1, 2, 2]], order=3, num_classes=5)
    for history in ([], [1], [1, 2], [4, 4], [3]):
        probs = [np.exp(ngram.log_prob(history, gloss)) for gloss in range(1, 5)]
        assert min(probs) > 0
        assert sum(probs) == pytest.approx(1)
    assert ngram.log_prob([1], 2) > ngram.log_prob([1], 3)


def test_a_class_below_the_threshold_is_not_claimed() -> None:
    assert threshold(np.array([0.2, 0.45, 0.35]), 0.4, 0) == 1
    assert threshold(np.array([0.2, 0.45, 0.35]), 0.5, 0) == 0
