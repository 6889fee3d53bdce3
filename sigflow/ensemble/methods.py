"""From how runs do on some of the clips to their shares of the vote.

Shape suffixes: N clips, M runs.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch

from sigflow.ensemble.budget import Budget
from sigflow.ensemble.votes import Mix, Votes
from sigflow.models.portfolio import mixture_weights

Method: TypeAlias = Literal["single", "average", "weighted", "greedy", "gated"]
METHODS: tuple[Method, ...] = get_args(Method)
MOST_PICKS = 20
LEAST_WEIGHT = 0.05  # of the heaviest member's: one with less costs its full time and changes nothing
GATES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def mix(method: Method, votes: Votes, rows_N: np.ndarray, budget: Budget) -> Mix:
    """The method's mix, from the clips `rows_N` (N,) bool alone. Some run has to be within the budget.

    single: the best run. average: all, or the best ones that fit, alike. weighted: the shares under which the right
    classes are likeliest (sentences: as average, whose frames have no right class). greedy: see `_greedy`.
    gated: average, with the threshold of confidence that does best (or none).
    Of equal ones the best is the run that was given first.
    """
    runs = [run for run in range(len(votes.pool)) if budget.allows([run])]
    ranked = sorted(runs, key=lambda run: _descending(votes.score(_alike(votes, [run]), rows_N)))
    match method:
        case "single":
            return _alike(votes, ranked[:1])
        case "weighted" if not votes.pool.sentences:
            return _weighted(votes, rows_N, budget, ranked)
        case "average" | "weighted":
            return _alike(votes, budget.fitting(ranked))
        case "greedy":
            return _greedy(votes, rows_N, budget, ranked)
        case "gated":
            plain = _alike(votes, budget.fitting(ranked))
            return max((plain._replace(gate=gate) for gate in (0.0, *GATES)), key=lambda it: votes.score(it, rows_N))


def _greedy(votes: Votes, rows_N: np.ndarray, budget: Budget, ranked: Sequence[int]) -> Mix:
    """Runs added one by one, each as often as it helps; begins with as many of the best as do best together.

    Source: Caruana et al. 2004, "Ensemble selection from libraries of models": selection with replacement, sorted
    initialisation. Ends where no run makes the score better.
    """
    fitting = budget.fitting(ranked)
    begins = [fitting[:count] for count in range(1, len(fitting) + 1)]
    picks = max(begins, key=lambda some: votes.score(_alike(votes, some), rows_N))
    best = votes.score(_alike(votes, picks), rows_N)
    while len(picks) < MOST_PICKS:
        tries = [(*picks, run) for run in ranked if budget.allows((*picks, run))]
        picked = max(tries, key=lambda some: votes.score(_alike(votes, some), rows_N))
        score = votes.score(_alike(votes, picked), rows_N)
        if score <= best:
            break
        picks, best = picked, score
    return _alike(votes, picks)


def _weighted(votes: Votes, rows_N: np.ndarray, budget: Budget, ranked: Sequence[int]) -> Mix:
    """Without those whose share is negligible or does not fit, which the others then get."""
    right_MN = np.stack([np.exp(-votes.answers(_alike(votes, [run])).loss_N[rows_N]) for run in ranked])
    kept = list(range(len(ranked)))
    while True:
        weights_M = mixture_weights(torch.from_numpy(right_MN[kept])).numpy()
        least = LEAST_WEIGHT * weights_M.max()
        heaviest = [kept[i] for i in np.argsort(-weights_M, kind="stable") if weights_M[i] >= least]
        staying = {ranked.index(run) for run in budget.fitting(ranked[i] for i in heaviest)}
        if len(staying) == len(kept):
            break
        kept = sorted(staying)
    shares = {ranked[i]: float(weight) for i, weight in zip(kept, weights_M, strict=True)}
    return Mix(tuple(shares.get(run, 0.0) / sum(shares.values()) for run in range(len(votes.pool))))


def _alike(votes: Votes, picks: Iterable[int]) -> Mix:
    """Shares in proportion to how often each run is picked."""
    counts = Counter(picks)
    return Mix(tuple(counts[run] / counts.total() for run in range(len(votes.pool))))


def _descending(score: Iterable[float]) -> tuple[float, ...]:
    return tuple(-value for value in score)
