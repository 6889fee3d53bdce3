"""If these fail, a trial is lost or run twice, a search never ends, or it tries what training would refuse."""

import math
import time
from pathlib import Path
from typing import Any

import pytest

from sigflow.pipelines.desk import Desk
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.space import LogUniform, Space, value_at
from sigflow.storage import locate
from sigflow.tuning import Overrides, Proposer, Standing, read_trials

RECIPE = find_recipe("isolated_gestures")
SPACE: Space = {"optim.lr": LogUniform(low=1e-4, high=1e-2)}
AS_IT_IS = (RECIPE.name, {"optim.lr": value_at(RECIPE, "optim.lr")})


def desk(place: Path, **changes: Any) -> Desk:
    out = locate(place)
    given: dict[str, Any] = {
        "score": "macro_f1", "folds": 3, "first": [AS_IT_IS], "trials": read_trials(out), "most": 4, "limit_s": None,
        "refusal": lambda recipe, overrides: None,
    }  # fmt: skip
    return Desk(
        out, {RECIPE.name: RECIPE}, Proposer({RECIPE.name: SPACE}, "random", "macro_f1", seed=0), **given | changes
    )


def test_the_recipe_as_it_is_comes_first_and_every_end_is_written_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = desk(tmp_path)
    assert mine.hand_out("a") == AS_IT_IS
    assert mine.hand_out("b") != AS_IT_IS
    assert read_trials(locate(tmp_path)) == []
    for scores in ((0.9,), (0.9, 0.8), (0.9, 0.8, 0.7)):
        mine.stands("a", Standing(scores))
    mine.ended("a")
    mine.stands("b", Standing((0.5,), ("fold 0 collapse",)))
    mine.ended("b")
    first, second = read_trials(locate(tmp_path))
    assert (first.number, first.state, first.reason, first.scores) == (0, "complete", None, (0.9, 0.8, 0.7))
    assert (second.number, second.state, second.alarms) == (1, "stopped", ("fold 0 collapse",))
    assert "others were better" in str(second.reason)
    said = capsys.readouterr().err
    assert "trial 0 complete, 3/3 folds, macro_f1 0.8000" in said
    assert "best 0.8000 (trial 0, 3 folds)" in said


@pytest.mark.parametrize(
    ("standing", "died", "state", "reason"),
    [
        (Standing((0.5,), failed="diverged: fold 1 diverged in epoch 3"), None, "failed", "diverged"),
        (Standing((0.5,), late=True), None, "stopped", "the search's time was over"),
        (Standing((0.5,)), "The actor died: its node was lost", "failed", "worker died: The actor died"),
        (Standing(), "Task was killed due to the node running low on memory.", "failed", "out of memory: "),
    ],
)
def test_why_a_trial_went_no_further_is_kept(
    tmp_path: Path, standing: Standing, died: str | None, state: str, reason: str
) -> None:
    mine = desk(tmp_path)
    mine.hand_out("a")
    mine.stands("a", standing)
    mine.started("a")
    mine.ended("a", died=died)
    (trial,) = read_trials(locate(tmp_path))
    assert trial.state == state
    assert str(trial.reason).startswith(reason)
    assert trial.scores == standing.scores
    assert mine.hand_out("b") is not None  # and the search goes on


def test_a_trial_whose_worker_died_before_it_began_is_handed_out_again_but_not_for_ever(tmp_path: Path) -> None:
    mine = desk(tmp_path, most=2)
    given = mine.hand_out("a")
    other = mine.hand_out("b")
    over: list[bool] = [mine.is_over]
    for trial_id, again in (("a", "c"), ("c", "d")):
        mine.ended(trial_id, died="its node was lost")
        over.append(mine.is_over)
        assert mine.hand_out(again) == given
        assert mine.hand_out("none is left") is None
    mine.ended("d", died="its node was lost")
    mine.started("b")
    mine.stands("b", Standing((0.5, 0.5, 0.5)))
    mine.ended("b")
    assert over == [True, False, False]
    assert given != other
    assert [(trial.number, trial.state) for trial in read_trials(locate(tmp_path))] == [(0, "failed"), (1, "complete")]


def test_a_trial_whose_worker_died_once_is_judged_by_what_it_did_then(tmp_path: Path) -> None:
    mine = desk(tmp_path)
    mine.hand_out("a")
    mine.started("a")
    mine.stands("a", Standing((0.5, 0.6)))
    mine.started("a")  # Ray has begun it anew
    for scores in ((0.5,), (0.5, 0.6), (0.5, 0.6, 0.7)):
        mine.stands("a", Standing(scores))
    mine.ended("a")
    assert [trial.scores for trial in read_trials(locate(tmp_path))] == [(0.5, 0.6, 0.7)]


def test_what_training_would_refuse_is_written_down_and_not_run(tmp_path: Path) -> None:
    def refusal(recipe: str, overrides: Overrides) -> str | None:
        return None if (recipe, overrides) == AS_IT_IS else "bad configuration: too_many_parameters"

    mine = desk(tmp_path, refusal=refusal)
    assert mine.hand_out("a") == AS_IT_IS
    assert mine.hand_out("b") is None  # and that ends
    trials = read_trials(locate(tmp_path))
    assert [(trial.number, trial.state) for trial in trials] == [(1, "failed"), (2, "failed"), (3, "failed")]


def test_a_search_that_goes_on_repeats_only_what_was_running(tmp_path: Path) -> None:
    before = desk(tmp_path)
    for name in ("a", "b", "c"):
        before.hand_out(name)
    before.stands("b", Standing((0.5,)))
    before.ended("b")
    after = desk(tmp_path)  # the driver was killed: the recipe as it is, and c, had not ended
    assert after.hand_out("d") == AS_IT_IS
    while (given := after.hand_out(f"e{len(after.trials)}")) is not None:
        assert given != AS_IT_IS
        after.ended(f"e{len(after.trials)}")
    after.ended("d")
    numbers = [trial.number for trial in read_trials(locate(tmp_path))]
    assert len(numbers) == len(set(numbers)) == 4
    assert desk(tmp_path).is_over
    assert not desk(tmp_path, most=6).is_over


def test_time_of_an_interrupted_search_counts(tmp_path: Path) -> None:
    before = desk(tmp_path, most=None, limit_s=0.5)
    assert before.hand_out("a") is not None
    time.sleep(0.3)
    before.stands("a", Standing((0.5,)))
    before.ended("a")
    after = desk(tmp_path, most=None, limit_s=0.5)
    assert after.deadline is not None
    assert after.deadline - time.time() < 0.21
    time.sleep(0.21)
    assert after.hand_out("b") is None
    more = desk(tmp_path, most=None, limit_s=100.0)
    assert not more.is_over
    assert more.deadline is not None
    assert math.isclose(more.deadline - time.time(), 99.7, abs_tol=0.1)
