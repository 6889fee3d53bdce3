"""Probabilities to answers (numpy alone). Class 0 of a sequence model is CTC's blank.

Shape suffixes: N frames, K classes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

BLANK = 0  # CTC's own class, in front of the glosses


def threshold(probs_K: np.ndarray, least: float, otherwise: int) -> int:
    """The likeliest class, or `otherwise` where it is less likely than `least`."""
    best = int(probs_K.argmax())
    return best if probs_K[best] >= least else otherwise


def ctc_greedy(probs_NK: np.ndarray) -> list[int]:
    """The likeliest class of each frame; repeats are one, blanks are dropped. Source: Graves et al. 2006."""
    return [int(best) for best, _ in groupby(probs_NK.argmax(1)) if best != BLANK]


class NGram:
    """How likely a gloss follows others: counts of 1 to `order` glosses, each order backing off to the next shorter.

    Probabilities are interpolated (Witten and Bell 1991): a history that was followed by many different glosses says
    less of the next one. Any gloss may begin a sentence or come again.
    """

    def __init__(self, sentences: Iterable[Sequence[int]], order: int, num_classes: int) -> None:
        self.order, self.num_classes = order, num_classes
        self._counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for sentence in sentences:
            for end, gloss in enumerate(sentence):
                for length in range(min(order, end + 1)):
                    self._counts[tuple(sentence[end - length : end])][gloss] += 1

    def log_prob(self, history: Sequence[int], gloss: int) -> float:
        """Natural logarithm of the probability that `gloss` follows `history`; never minus infinity."""
        prob = 1.0 / max(self.num_classes - 1, 1)
        for length in range(min(self.order - 1, len(history)) + 1):
            counts = self._counts.get(tuple(history[len(history) - length :]))
            if counts is None:
                break
            total, distinct = counts.total(), len(counts)
            prob = (counts[gloss] + distinct * prob) / (total + distinct)
        return float(np.log(prob))


def ctc_beam(
    probs_NK: np.ndarray, *, beam: int = 8, ngram: NGram | None = None, ngram_weight: float = 0.5
) -> list[int]:
    """The likeliest sentence, adding up all of its alignments, among the `beam` best prefixes of each frame.

    With an n-gram each new gloss also counts by its probability to the power of `ngram_weight`.
    Source: Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional RNNs".
    """
    # By prefix: log-probability of its alignments that end in a blank, and of those that end in its last gloss.
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    with np.errstate(divide="ignore"):
        log_probs_NK = np.log(probs_NK.astype(np.float64))
    for log_K in log_probs_NK:
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-np.inf, -np.inf])
        # A class that is far below the frame's best cannot start a prefix that stays in the beam.
        likely = [int(k) for k in np.argsort(log_K)[::-1][: beam + 1] if k != BLANK]
        for prefix, (ends_blank, ends_gloss) in beams.items():
            both = np.logaddexp(ends_blank, ends_gloss)
            same = grown[prefix]
            same[0] = np.logaddexp(same[0], both + log_K[BLANK])
            if prefix:
                same[1] = np.logaddexp(same[1], ends_gloss + log_K[prefix[-1]])
            for gloss in likely:
                # Twice the same gloss needs a blank between.
                score = (ends_blank if prefix and gloss == prefix[-1] else both) + log_K[gloss]
                if ngram is not None:
                    score += ngram_weight * ngram.log_prob(prefix, gloss)
                longer = grown[(*prefix, gloss)]
                longer[1] = np.logaddexp(longer[1], score)
        best = sorted(grown.items(), key=lambda item: -np.logaddexp(item[1][0], item[1][1]))[:beam]
        beams = {prefix: (scores[0], scores[1]) for prefix, scores in best}
    return list(max(beams.items(), key=lambda item: np.logaddexp(*item[1]))[0])
