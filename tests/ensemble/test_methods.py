"""If these fail, runs that help are left out, runs that harm vote, or the same runs give another ensemble."""

import numpy as np
import pytest

from sigflow.ensemble import Budget
from sigflow.ensemble.methods import METHODS, Method, mix
from sigflow.ensemble.votes import Mix, Votes, mixed
from tests.ensemble.answers import halves, knowing, noise, truth, voting
from tests.ensemble.conftest import MakePool

CLASSES = 4
TRUE = truth(400, CLASSES)
ALL = np.ones(len(TRUE), bool)


@pytest.mark.parametrize("method", ["greedy", "weighted", "average"])
def test_two_runs_that_each_know_half_vote_together(make_pool: MakePool, method: Method) -> None:
    votes = Votes(make_pool(halves(TRUE, CLASSES), TRUE))
    found = mix(method, votes, ALL, Budget())
    assert min(found.weights) > 0.3
    assert votes.score(found, ALL).figure == 1.0


@pytest.mark.parametrize("method", ["greedy", "weighted", "single"])
def test_a_run_that_is_mostly_and_surely_wrong_gets_no_vote(make_pool: MakePool, method: Method) -> None:
    good = [knowing(TRUE, CLASSES, 0.85, seed) for seed in (1, 2)]
    bad = knowing(TRUE, CLASSES, 0.05, 3, sure=0.97)
    found = mix(method, Votes(make_pool([bad, *good], TRUE)), ALL, Budget())
    assert found.weights[0] == 0
    assert sum(found.weights) == pytest.approx(1)


def test_greedy_gives_a_better_run_more_votes_than_its_like(make_pool: MakePool) -> None:
    """With replacement: three runs, of which one is right nearly always and surest, and its errors are mended."""
    probs = [knowing(TRUE, CLASSES, share, seed, sure=0.6) for seed, share in ((1, 0.9), (2, 0.6), (3, 0.6))]
    votes = Votes(make_pool(probs, TRUE))
    found = mix("greedy", votes, ALL, Budget())
    assert found.weights[0] == max(found.weights)
    assert votes.score(found, ALL) >= votes.score(mix("average", votes, ALL, Budget()), ALL)
    assert votes.score(found, ALL) >= votes.score(mix("single", votes, ALL, Budget()), ALL)


def test_a_gated_vote_hears_only_runs_that_are_sure(make_pool: MakePool) -> None:
    """Each run knows half of the clips and is sure of them, and misleads, less sure, on the other half."""
    first_N = np.arange(len(TRUE)) % 2 == 0
    wrong_N = (TRUE + 1) % CLASSES
    probs = [
        voting(np.where(known_N, TRUE, wrong_N), CLASSES, np.where(known_N, 0.86, 0.84))
        for known_N in (first_N, ~first_N)
    ]
    probs.append(voting(wrong_N, CLASSES, 0.6))
    votes = Votes(make_pool(probs, TRUE))
    plain, gated = Mix((1 / 3,) * 3), Mix((1 / 3,) * 3, gate=0.85)
    assert votes.score(plain, ALL).figure < 0.1
    assert votes.score(gated, ALL).figure == 1.0
    found = mix("gated", Votes(make_pool(probs, TRUE)), ALL, Budget())
    assert votes.score(found, ALL) >= votes.score(plain, ALL)


def test_where_nobody_is_sure_all_vote(make_pool: MakePool) -> None:
    pool = make_pool([noise(50, CLASSES, seed) * 0.5 + 0.125 for seed in (0, 1)], TRUE[:50])
    assert np.array_equal(mixed(pool, Mix((0.5, 0.5), gate=0.99)), mixed(pool, Mix((0.5, 0.5))))


@pytest.mark.parametrize("method", METHODS)
def test_no_more_runs_vote_than_allowed(make_pool: MakePool, method: Method) -> None:
    probs = [knowing(TRUE, CLASSES, 0.7, seed) for seed in range(6)]
    votes = Votes(make_pool(probs, TRUE))
    assert sum(weight > 0 for weight in mix(method, votes, ALL, Budget(max_members=2)).weights) <= 2
    free = mix(method, votes, ALL, Budget())
    assert sum(weight > 0 for weight in free.weights) > 2 or method == "single"


@pytest.mark.parametrize("method", METHODS)
def test_slow_runs_stay_out_of_a_small_budget(make_pool: MakePool, method: Method) -> None:
    """The best run costs more than there is, and the two others fit together."""
    probs = [knowing(TRUE, CLASSES, share, seed) for seed, share in enumerate((0.95, 0.7, 0.7))]
    budget = Budget(max_ms=2.5, ms=(5.0, 1.0, 1.2))
    found = mix(method, Votes(make_pool(probs, TRUE)), ALL, budget)
    assert found.weights[0] == 0
    assert budget.allows(run for run, weight in enumerate(found.weights) if weight)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_runs_give_the_same_weights_and_ties_go_to_the_first(make_pool: MakePool, method: Method) -> None:
    same = knowing(TRUE, CLASSES, 0.8, 0)
    probs = [same, same, knowing(TRUE, CLASSES, 0.8, 1)]
    first, second = (mix(method, Votes(make_pool(probs, TRUE)), ALL, Budget()) for _ in range(2))
    assert first == second
    assert first.weights[0] >= first.weights[1]


def test_only_the_given_clips_decide(make_pool: MakePool) -> None:
    """A run that is perfect on the clips left out, and useless on the others, is not the best."""
    inside_N = np.arange(len(TRUE)) < 200
    cheat = np.where(inside_N[:, None], noise(len(TRUE), CLASSES, 0), voting(TRUE, CLASSES, 0.99))
    votes = Votes(make_pool([cheat, knowing(TRUE, CLASSES, 0.5, 1)], TRUE))
    assert mix("single", votes, inside_N, Budget()).weights == (0.0, 1.0)
    assert mix("single", votes, ~inside_N, Budget()).weights == (1.0, 0.0)
