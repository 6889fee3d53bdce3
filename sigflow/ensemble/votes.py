"""What a mix of runs answers, and how good that is on any part of the clips.

Shape suffixes: N clips, R rows of predictions, K classes, M runs.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sigflow.decoding import ctc_greedy
from sigflow.ensemble.pool import Pool
from sigflow.metrics import edit_distance, macro_f1
from sigflow.metrics.calibration import SMALLEST

_DIGITS = 9  # beyond them, differences are of the order of sums


class Mix(NamedTuple):
    """Each run's share of the vote, adding up to 1.

    gate: in each row (clip, or frame) only those runs vote whose own likeliest class reaches it, or all of them where
    none does. 0: all vote.
    """

    weights: tuple[float, ...]
    gate: float = 0.0


class Answers(NamedTuple):
    """Of each clip: the class, or how many edits the sentence is off; and -log of the right class (of sentences 0)."""

    given_N: np.ndarray
    loss_N: np.ndarray


class Score(NamedTuple):
    """Higher is better, in this order: macro-F1 or 0 - WER, then 0 - log-loss."""

    figure: float
    gain: float


@dataclass(frozen=True)
class Votes:
    """A pool with a memory: a mix is worked out once, whatever part of the clips it is judged on."""

    pool: Pool
    _known: dict[Mix, Answers] = field(default_factory=dict)

    def answers(self, mix: Mix) -> Answers:
        """Of every clip."""
        if mix not in self._known:
            self._known[mix] = self._answers(mixed(self.pool, mix))
        return self._known[mix]

    def score(self, mix: Mix, rows_N: np.ndarray) -> Score:
        """On some of the clips."""
        return self.judge(self.answers(mix), rows_N)

    def judge(self, answers: Answers, rows_N: np.ndarray) -> Score:
        """Answers of whatever origin on some of the clips, (N,) bool."""
        given_N, loss_N = answers.given_N[rows_N], answers.loss_N[rows_N]
        if self.pool.sentences:
            glosses = sum(len(sentence) for sentence, row in zip(self.pool.true, rows_N, strict=True) if row)
            figure = -given_N.sum() / max(glosses, 1)
        else:
            figure = macro_f1(self.pool.classes[rows_N], given_N, len(self.pool.labels))
        return Score(round(float(figure), _DIGITS), round(-float(loss_N.mean()), _DIGITS))

    def _answers(self, probs_RK: np.ndarray) -> Answers:
        if not self.pool.sentences:
            right_N = probs_RK[np.arange(len(probs_RK)), self.pool.classes]
            return Answers(probs_RK.argmax(1), -np.log(right_N.clip(SMALLEST)))
        clips = np.split(probs_RK, self.pool.offsets[1:-1])
        pairs = zip(self.pool.true, clips, strict=True)
        edits_N = np.array([edit_distance(true, ctc_greedy(frames_TK)) for true, frames_TK in pairs])
        return Answers(edits_N, np.zeros(len(edits_N)))


def mixed(pool: Pool, mix: Mix) -> np.ndarray:
    """Probabilities (R, K) of the mix."""
    voting = [(probs_RK, weight) for probs_RK, weight in zip(pool.probs, mix.weights, strict=True) if weight]
    plain_RK = np.zeros_like(pool.probs[0])
    for probs_RK, weight in voting:
        plain_RK += weight * probs_RK
    if not mix.gate:
        return plain_RK
    sure_RK, total_R1 = np.zeros_like(plain_RK), np.zeros_like(plain_RK[:, :1])
    for probs_RK, weight in voting:
        share_R1 = weight * (probs_RK.max(1, keepdims=True) >= mix.gate)
        sure_RK += share_R1 * probs_RK
        total_R1 += share_R1
    return np.where(total_R1 > 0, sure_RK / total_R1.clip(SMALLEST), plain_RK)
