"""If these fail, a search tries what cannot be trained, forgets what it learnt, or learns the wrong thing."""

import math
import warnings

import numpy as np
import pytest

from sigflow.recipes.catalogue import RECIPES, find_space
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Choice, LogUniform, Space, holds
from sigflow.training import build
from sigflow.tuning import Overrides, Proposer, changed
from tests.recipes.test_catalogue import fitted, num_classes
from tests.tuning.made import trial

SPACE: Space = {"optim.lr": LogUniform(low=1e-5, high=1e-1), "model.hidden": Choice(values=((8,), (16,), (32,)))}


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, id=name, marks=[pytest.mark.slow] if name.startswith("lip_reading_") else [])
        for name, recipe in RECIPES.items()
    ],
)
def test_whatever_is_proposed_is_a_recipe_that_can_be_built(recipe: Recipe) -> None:
    space = find_space(recipe)
    proposer = Proposer({recipe.name: space}, "random", recipe.score, seed=0)
    for number in range(60):
        name, overrides = proposer.ask(number)
        assert name == recipe.name
        assert overrides.keys() == space.keys()
        assert all(holds(space[key], value) for key, value in overrides.items())
        candidate = changed(recipe, overrides)
        if number < 6:
            build(fitted(candidate), num_classes(recipe))


def test_of_several_recipes_each_has_its_own_settings() -> None:
    proposer = Proposer({"a": SPACE, "b": {"optim.lr": SPACE["optim.lr"]}}, "tpe", "macro_f1", seed=0)
    seen = set()
    for number in range(20):
        name, overrides = proposer.ask(number)
        seen.add(name)
        assert set(overrides) == ({"optim.lr", "model.hidden"} if name == "a" else {"optim.lr"})
        proposer.tell(trial(number, 0.5, recipe=name, overrides=overrides))
    assert seen == {"a", "b"}


def worth(overrides: Overrides) -> float:
    """Best at a rate of 1e-3 and the middle size."""
    return 0.9 - 0.1 * abs(math.log10(overrides["optim.lr"]) + 3) - 0.05 * (overrides["model.hidden"] != [16])


def searched(seed: int, *, early: bool, sign: int = 1) -> list[float]:
    """How far the last rates are from the best, in powers of ten."""
    proposer = Proposer({"mine": SPACE}, "tpe", "macro_f1" if sign > 0 else "wer", seed=seed)
    far = []
    for number in range(40):
        _, overrides = proposer.ask(number)
        score = worth(overrides) if sign > 0 else 1 - worth(overrides)
        # Half of them were stopped after an easy fold, and look better than they are.
        scores = (score + sign * 0.1,) if early and worth(overrides) < 0.8 else (score,) * 3
        proposer.tell(trial(number, *scores, overrides=overrides))
        far.append(abs(math.log10(overrides["optim.lr"]) + 3))
    return far[-15:]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_it_comes_nearer_to_what_is_good_also_when_most_are_stopped_early(early: bool, sign: int) -> None:
    far = [np.mean(searched(seed, early=early, sign=sign)) for seed in range(3)]
    assert np.mean(far) < 0.6  # 1 by chance


def test_the_same_seed_proposes_the_same() -> None:
    first, again, other = (Proposer({"mine": SPACE}, "tpe", "macro_f1", seed=seed) for seed in (3, 3, 4))
    assert [first.ask(n) for n in range(5)] == [again.ask(n) for n in range(5)] != [other.ask(n) for n in range(5)]


def test_a_search_that_goes_on_knows_what_was_tried() -> None:
    """Told of trials that another process ran, it avoids what failed and seeks what was good."""
    done = [
        trial(n, *([0.9] * 3 if n % 3 == 0 else [0.2] * 3), overrides={"optim.lr": lr, "model.hidden": [8]})
        if n % 3 < 2
        else trial(n, state="failed", reason="diverged", overrides={"optim.lr": 0.05, "model.hidden": [32]})
        for n, lr in ((n, 1e-4 if n % 3 == 0 else 1e-2) for n in range(24))
    ]
    proposer = Proposer({"mine": SPACE}, "tpe", "macro_f1", seed=0)
    for each in done:
        proposer.tell(each)
    asked = [proposer.ask(100 + n)[1] for n in range(20)]
    assert np.median([each["optim.lr"] for each in asked]) < 1e-3
    sizes = [each["model.hidden"] for each in asked]
    assert sizes.count([8]) > sizes.count([32])


def test_a_trial_outside_the_space_says_nothing_and_does_no_harm() -> None:
    proposer = Proposer({"mine": SPACE}, "tpe", "macro_f1", seed=0)
    proposer.tell(trial(0, 0.9, 0.9, 0.9, overrides={"optim.lr": 5.0, "model.hidden": [8]}))
    proposer.tell(trial(1, 0.9, 0.9, 0.9, overrides={"optim.lr": 1e-3}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert proposer.ask(2)[1].keys() == SPACE.keys()
