"""How good choices are on clips that had no say in them.

The clips are in blocks: folds, as a rule, whose subjects are others. What is chosen for a block, be it members,
weights, threshold, temperature or the method itself, is chosen on the other blocks alone, and then judged on it. A
choice among many runs looks good on the clips that it was made on, whatever the runs are worth; here it does not.
What is left: the fold models that answer in the other blocks were trained on this block's clips, as in all stacking.

Shape suffixes: N clips, R rows of predictions, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sigflow.ensemble import methods
from sigflow.ensemble.budget import Budget
from sigflow.ensemble.methods import Method
from sigflow.ensemble.temperature import fit_temperature
from sigflow.ensemble.votes import Answers, Mix, Score, Votes, mixed
from sigflow.metrics import tempered

_NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Nest:
    """Every choice that leaves some blocks out, made once."""

    votes: Votes
    budget: Budget
    _mixes: dict[tuple[Method, frozenset[int]], Mix] = field(default_factory=dict)

    @cached_property
    def blocks(self) -> frozenset[int]:
        """All of them, by number."""
        return frozenset(self.votes.pool.blocks.tolist())

    def mix(self, method: Method, left_out: frozenset[int] = _NOTHING) -> Mix:
        """Chosen on all clips but those of the blocks `left_out`."""
        if (method, left_out) not in self._mixes:
            rows_N = ~np.isin(self.votes.pool.blocks, list(left_out))
            self._mixes[method, left_out] = methods.mix(method, self.votes, rows_N, self.budget)
        return self._mixes[method, left_out]

    def best_method(self, candidates: Sequence[Method], left_out: frozenset[int] = _NOTHING) -> Method:
        """The one whose own nested score is best on the blocks not left out; the first where there is one block."""
        inside = self.blocks - left_out
        if len(inside) < 2:
            return candidates[0]
        scores = {method: self.score(dict.fromkeys(inside, method), left_out) for method in candidates}
        return max(candidates, key=lambda method: scores[method])

    def score(self, by_block: Mapping[int, Method], left_out: frozenset[int] = _NOTHING) -> Score:
        """Of the clips of all blocks in `by_block`, as `answers` has them."""
        return self.votes.judge(self.answers(by_block, left_out), np.isin(self.votes.pool.blocks, list(by_block)))

    def answers(self, by_block: Mapping[int, Method], left_out: frozenset[int] = _NOTHING) -> Answers:
        """Each block's clips answered with its method's mix that was chosen without it, and without `left_out`."""
        blocks = self.votes.pool.blocks
        given_N, loss_N = np.zeros(len(blocks), np.int64), np.zeros(len(blocks))
        for block, method in by_block.items():
            answers, rows_N = self.votes.answers(self.mix(method, left_out | {block})), blocks == block
            given_N[rows_N], loss_N[rows_N] = answers.given_N[rows_N], answers.loss_N[rows_N]
        return Answers(given_N, loss_N)

    def probs(self, by_block: Mapping[int, Method]) -> np.ndarray:
        """(R, K) of all clips, each as voted by the mix that was chosen without its block."""
        pool = self.votes.pool
        block_R = np.repeat(pool.blocks, np.diff(pool.offsets))
        probs_RK = np.zeros_like(pool.probs[0])
        for block, method in by_block.items():
            here_R = block_R == block
            probs_RK[here_R] = mixed(pool, self.mix(method, frozenset({block})))[here_R]
        return probs_RK

    def calibrated(self, by_block: Mapping[int, Method]) -> np.ndarray:
        """`probs`, each with the temperature that fits the other blocks best; not of sentences."""
        pool = self.votes.pool
        probs_NK = np.zeros_like(pool.probs[0])
        for block, method in by_block.items():
            here_N = pool.blocks == block
            mixed_NK = mixed(pool, self.mix(method, frozenset({block})))
            probs_NK[here_N] = tempered(mixed_NK[here_N], fit_temperature(mixed_NK[~here_N], pool.classes[~here_N]))
        return probs_NK
