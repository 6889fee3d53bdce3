"""If these fail, an ensemble looks better than it is, or a worse one than its best member is served."""

import json

import numpy as np
import pytest

from sigflow.ensemble import Budget, choose
from sigflow.ensemble.choose import EXPORTED
from sigflow.ensemble.nested import Nest
from sigflow.ensemble.votes import Votes
from sigflow.errors import UserError
from tests.ensemble.answers import halves, knowing, noise, truth
from tests.ensemble.conftest import MakePool

CLASSES = 4
TRUE = truth(400, CLASSES)


def test_choosing_among_noise_looks_good_where_it_was_done_and_is_chance_where_it_was_not(make_pool: MakePool) -> None:
    count, classes = 200, 3
    flattered, honest = [], []
    for seed in range(6):
        probs = [noise(count, classes, 100 * seed + run) for run in range(12)]
        nest = Nest(Votes(make_pool(probs, truth(count, classes, seed))), Budget())
        flattered.append(nest.votes.score(nest.mix("greedy"), np.ones(count, bool)).figure)
        honest.append(nest.score(dict.fromkeys(nest.blocks, "greedy")).figure)
        assert honest[-1] <= flattered[-1]
    chance, error = 1 / 3, np.sqrt(1 / 3 * 2 / 3 / count)
    assert np.mean(flattered) > chance + 2.5 * error
    assert abs(np.mean(honest) - chance) < 3 * error / np.sqrt(len(honest))


def test_what_is_reported_is_the_nested_estimate_not_the_flattered_one(make_pool: MakePool) -> None:
    true_N = truth(200, 3)
    ensemble = choose(make_pool([noise(200, 3, seed) for seed in range(12)], true_N))
    choice = ensemble.choice
    assert ensemble.metrics["macro_f1"] == choice["nested"]["exported"]["macro_f1"]
    assert ensemble.metrics["macro_f1"] < 0.43 < choice["on_the_choosing_clips"] + 0.03
    assert ensemble.metrics["ece"] < 0.1  # knows that it knows nothing


def test_no_block_has_a_say_in_its_own_answers(make_pool: MakePool) -> None:
    """Other truths in one block leave what is chosen for it as it was."""
    probs = [knowing(TRUE, CLASSES, 0.7, seed, sure) for seed, sure in ((1, 0.6), (2, 0.8), (3, 0.95))]
    changed = TRUE.copy()
    changed[:80] = (TRUE[:80] + 1) % CLASSES
    first, second = (Nest(Votes(make_pool(probs, true)), Budget()) for true in (TRUE, changed))
    left_out = frozenset({0})
    assert first.best_method(EXPORTED, left_out) == second.best_method(EXPORTED, left_out)
    for method in EXPORTED:
        assert first.mix(method, left_out) == second.mix(method, left_out)
        mine, theirs = (nest.calibrated(dict.fromkeys(nest.blocks, method))[:80] for nest in (first, second))
        assert np.array_equal(mine, theirs)
    assert first.mix("weighted") != second.mix("weighted")


def test_runs_that_complement_each_other_beat_the_best_of_them(make_pool: MakePool) -> None:
    ensemble = choose(make_pool(halves(TRUE, CLASSES), TRUE))
    assert ensemble.choice["method"] != "single"
    assert len(ensemble.members) == 2
    assert ensemble.metrics["macro_f1"] > ensemble.best_single + 0.2
    assert ensemble.choice["warnings"] == []


def test_a_run_that_needs_no_help_is_exported_alone_and_it_says_so(
    make_pool: MakePool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs of a kind that are equally sure: where they differ, a vote decides nothing."""
    pool = make_pool([knowing(TRUE, CLASSES, 0.7, seed) for seed in range(2)], TRUE)
    ensemble = choose(pool)
    nested = ensemble.choice["nested"]
    assert nested["ensemble"]["macro_f1"] < nested["single"]["macro_f1"] == nested["exported"]["macro_f1"]
    assert (ensemble.choice["method"], len(ensemble.members)) == ("single", 1)
    assert ensemble.metrics["macro_f1"] == pytest.approx(ensemble.best_single)
    (warning,) = ensemble.choice["warnings"]
    assert warning.endswith("that run is exported alone")
    assert warning in capsys.readouterr().err


def test_an_ensemble_between_the_nested_and_the_known_best_run_says_so(make_pool: MakePool) -> None:
    """Each run is weak in a fold of its own: the one that is best elsewhere fails where it is asked."""
    probs = [knowing(TRUE, CLASSES, 0.8, run, sure=0.5 + 0.1 * run) for run in range(3)]
    for run, (start, end) in enumerate(((0, 80), (80, 160), (160, 240))):
        probs[run][start:end] = knowing(TRUE, CLASSES, 0.3, 9, sure=0.95)[start:end]
    choice = choose(make_pool(probs, TRUE)).choice
    between = choice["nested"]["single"]["macro_f1"] <= choice["nested"]["ensemble"]["macro_f1"] < choice["best_run"]
    assert between
    assert "hindsight" in choice["warnings"][0]


def test_never_is_what_is_exported_worse_than_the_best_run_alone(make_pool: MakePool) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        probs = [knowing(TRUE, CLASSES, share, 10 * seed + run) for run, share in enumerate(rng.uniform(0.3, 0.9, 3))]
        nested = choose(make_pool(probs, TRUE)).choice["nested"]
        assert nested["exported"]["macro_f1"] >= nested["single"]["macro_f1"]


def test_a_run_alone_is_calibrated_too(make_pool: MakePool) -> None:
    ensemble = choose(make_pool([knowing(TRUE, CLASSES, 0.7, 1, sure=0.99)], TRUE))
    nested = ensemble.choice["nested"]
    assert ensemble.choice["method"] == "single"
    assert [member.weight for member in ensemble.members] == [1.0]
    assert ensemble.temperature > 1.5
    assert nested["exported"]["ece"] < 0.05 < nested["exported"]["before_temperature"]["ece"]
    assert ensemble.metrics["ece"] == pytest.approx(nested["exported"]["ece"], abs=1e-6)
    assert ensemble.choice["warnings"] == []


def test_a_temperature_that_helps_nobody_else_stays_one(make_pool: MakePool) -> None:
    rng = np.random.default_rng(1)
    probs_NK = rng.dirichlet(np.full(CLASSES, 0.5), 60)
    true_N = (rng.random((60, 1)) < probs_NK.cumsum(1)).argmax(1)  # calibrated as it is, and few clips
    ensemble = choose(make_pool([probs_NK], true_N))
    figures = ensemble.choice["nested"]["exported"]
    assert figures["log_loss"] <= figures["before_temperature"]["log_loss"]
    assert (ensemble.temperature == 1.0) == (figures["log_loss"] == figures["before_temperature"]["log_loss"])


def test_the_choice_is_the_same_every_time_and_plain_json(make_pool: MakePool) -> None:
    probs = [knowing(TRUE, CLASSES, 0.7, seed) for seed in range(4)]
    first, second = (choose(make_pool(probs, TRUE)) for _ in range(2))
    assert json.dumps(first.choice) == json.dumps(second.choice)
    assert first.oof == second.oof
    assert [(member.place, member.weight) for member in first.members] == [
        (member.place, member.weight) for member in second.members
    ]


def test_limits_hold_and_a_budget_below_every_run_is_refused(make_pool: MakePool) -> None:
    pool = make_pool([knowing(TRUE, CLASSES, 0.7, seed) for seed in range(5)], TRUE)
    assert len(choose(pool, Budget(max_members=2)).members) <= 2
    ms = (1.0, 2.0, 3.0, 4.0, 5.0)
    ensemble = choose(pool, Budget(max_ms=4.5, ms=ms))
    assert sum(ms[int(member.place.name)] for member in ensemble.members) <= 4.5
    assert [run["ms_alone"] for run in ensemble.choice["runs"]] == list(ms)
    with pytest.raises(UserError, match=r"even .*0 alone takes 1 ms a clip, and --max-ms is 0.5; raise it"):
        choose(pool, Budget(max_ms=0.5, ms=ms))


@pytest.mark.parametrize(
    ("folds", "subjects", "by"), [(5, 5, "fold"), (1, 7, "subject"), (1, 1, "clip"), (30, 30, "fold")]
)
def test_choices_are_judged_on_people_whom_they_have_not_seen_if_there_are_several(
    make_pool: MakePool, folds: int, subjects: int, by: str
) -> None:
    pool = make_pool([knowing(TRUE, CLASSES, 0.7, seed) for seed in range(2)], TRUE, folds=folds, subjects=subjects)
    choice = choose(pool).choice
    assert (choice["nested"]["blocked_by"], choice["nested"]["blocks"]) == (by, 10 if folds == 30 else 5)
    assert any("people whom it was made on" in line for line in choice["warnings"]) == (by == "clip")
    if by != "clip":
        people = pool.clips["subject"].to_pylist()
        assert all(len({b for s, b in zip(people, pool.blocks, strict=True) if s == who}) == 1 for who in set(people))


def test_two_folds_are_enough(make_pool: MakePool) -> None:
    assert choose(make_pool(halves(TRUE, CLASSES), TRUE, folds=2)).choice["nested"]["blocks"] == 2
