"""If these fail, devices stand idle, bad trials run to the end, or a winner is not measured on fresh folds."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import ray
import ray.tune

from sigflow.audit import Plan, make_plan
from sigflow.errors import UserError
from sigflow.pipelines.search import make_asha, shares
from sigflow.pipelines.tune import fresh, refusal_of, tune
from sigflow.recipes.catalogue import RECIPES, find_recipe, find_space
from sigflow.recipes.recipe import Recipe, override
from sigflow.recipes.space import value_at
from sigflow.storage import Location, locate
from tests.recipes.test_catalogue import fitted, moving_clips
from tests.tuning.made import trial


@pytest.mark.parametrize(
    ("asked", "cpus", "gpus", "number", "share"),
    [
        (None, 2, 0, 2, {"cpu": 1.0}),
        (4, 2, 0, 4, {"cpu": 0.5}),
        (3, 2, 0, 3, {"cpu": 0.6666}),  # rounded down, or the third would never run
        (1, 8, 0, 1, {"cpu": 1.0}),
        (None, 16, 1, 4, {"cpu": 1.0, "gpu": 0.25}),
        (None, 2, 1, 4, {"cpu": 0.5, "gpu": 0.25}),
        (3, 16, 2, 3, {"cpu": 1.0, "gpu": 0.5}),  # two on one GPU, one on the other
        (2, 16, 2, 2, {"cpu": 1.0, "gpu": 1.0}),
    ],
)
def test_small_trials_are_packed(asked: int | None, cpus: int, gpus: int, number: int, share: dict[str, float]) -> None:
    assert shares(asked, cpus=cpus, gpus=gpus) == (number, share)


def decisions(asha: ray.tune.schedulers.ASHAScheduler, name: str, scores: list[float]) -> int:
    """How many folds a trial of these scores is allowed."""

    class Named:
        trial_id = name

    asha.on_trial_add(None, Named)
    for count in range(1, len(scores) + 1):
        result = {"folds": count, "score": sum(scores[:count]) / count}
        if asha.on_trial_result(None, Named, result) == ray.tune.schedulers.TrialScheduler.STOP:
            return count
    return len(scores)


@pytest.mark.parametrize("sign", [1, -1])
def test_bad_trials_end_after_a_fold_or_three_also_when_the_good_ones_ran_before_an_interruption(sign: int) -> None:
    """The score as Ray is given it is better when it is higher, whatever the recipe's is."""
    good, bad, fading = [0.9] * 5, [0.1] * 5, [0.9, 0.1, 0.1, 0.1, 0.1]
    asha = make_asha(5, [trial(0, *(sign * score for score in good), folds=5)], sign)
    assert decisions(asha, "bad", bad) == 1
    assert decisions(asha, "fading", fading) == 3
    assert decisions(asha, "good", good) == 5
    fresh_one = make_asha(5, [], sign)
    assert decisions(fresh_one, "bad", bad) == 5  # nobody is there to compare it with
    assert decisions(make_asha(1, [], sign), "one fold", [0.1]) == 1


def test_fresh_folds_test_other_clips_together_or_are_not_called_fresh() -> None:
    """Subjects of different sizes: scikit-learn alone deals them out alike whatever the seed."""
    recipe = RECIPES["isolated_gestures"]
    clips = moving_clips(recipe, each=120)
    subjects = [f"s{int((3 * i) ** 0.5)}" for i in range(len(clips))]
    table = clips.table.set_column(3, "subject", pa.array(subjects))
    clips = replace(clips, table=table.append_column("split", pa.nulls(len(clips), pa.string())))
    plans = {spec: make_plan(recipe, clips, folds_spec=spec) for spec in ("3", "3@1", "random:3@7", "subject")}
    assert fresh(plans["3"], ()) == "3@1"
    assert plans["3"].folds.folds[0].test.tolist() not in [f.test.tolist() for f in plans["3@1"].folds.folds]
    assert fresh(plans["3@1"], ()) == "3@2"
    assert fresh(plans["random:3@7"], ()) == "random:3@8"
    assert fresh(plans["subject"], ()) is None
    three = make_plan(
        recipe, clips.select([i for i, name in enumerate(subjects) if name in ("s9", "s15", "s30")]), folds_spec="3"
    )
    assert fresh(three, ()) is None  # three subjects can be tested one by one in one way only


def planned(recipe: Recipe) -> Plan:
    clips = moving_clips(fitted(recipe), each=20)
    table = clips.table.append_column("split", pa.nulls(len(clips), pa.string()))
    return make_plan(recipe, replace(clips, table=table), folds_spec="2")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_what_is_shipped_is_not_refused(recipe: Recipe) -> None:
    refuse = refusal_of({recipe.name: planned(recipe)}, ["too_many_parameters", "small_test_fold"])
    assert refuse(recipe.name, {}) is None
    assert refuse(recipe.name, {key: value_at(recipe, key) for key in find_space(recipe)}) is None


def test_what_training_would_refuse_is_not_tried_and_costs_no_memory() -> None:
    plans = {"isolated_gestures": planned(RECIPES["isolated_gestures"])}
    huge, broken = {"model.hidden": [10**7]}, {"model.single_logit": True}
    refuse = refusal_of(plans, [])
    assert "too_many_parameters" in str(refuse("isolated_gestures", huge))
    assert "needs 2 classes" in str(refuse("isolated_gestures", broken))
    assert refusal_of(plans, ["too_many_parameters"])("isolated_gestures", huge) is None
    assert refuse("isolated_gestures", {"model.hidden": [8], "model.dense": 8}) is None


def test_the_folder_of_another_search_is_left_alone(gesture_landmarks: Location, tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text('{"key": "of another"}')
    recipe = override(find_recipe("isolated_gestures"), ["model.hidden=[8]", "model.dense=8"])
    spaces = {recipe.name: find_space(recipe)}
    with pytest.raises(UserError, match="another --out"):
        tune([recipe], gesture_landmarks, locate(tmp_path), spaces=spaces, folds_spec="3", resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["search.json"]
    assert not ray.is_initialized()
