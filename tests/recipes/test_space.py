"""If these fail, a search cannot try the recipe as it is, or tries what nobody can train."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sigflow.models.lstm import LstmConfig
from sigflow.recipes.catalogue import GENERAL, RECIPES, SPACES, find_space
from sigflow.recipes.recipe import Recipe, override
from sigflow.recipes.space import Choice, LogUniform, Uniform, height, holds, live, number_at, value_at
from sigflow.training import build
from tests.recipes.test_catalogue import fitted, num_classes

each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


@each_recipe
def test_its_space_holds_the_recipe_as_it_is(recipe: Recipe) -> None:
    space = find_space(recipe)
    assert space == SPACES[recipe.name]  # no key that the recipe lacks
    assert len(space) >= 5
    assert [key for key, axis in space.items() if not holds(axis, value_at(recipe, key))] == []


def test_what_is_set_is_not_searched() -> None:
    recipe = RECIPES["unified_signs"]
    space = find_space(recipe, ["optim.lr", "model", "augmentation.noise_sizes", "loss.smooth"])
    left = set(find_space(recipe)) - set(space)
    assert left == {"optim.lr", "model.hidden", "model.norm", "model.dropout", "augmentation.noise_sizes"}


def test_a_recipe_from_a_file_is_searched_as_far_as_it_has_the_keys() -> None:
    recipe = RECIPES["unified_signs"].model_copy(update={"model": LstmConfig()})
    assert set(SPACES["unified_signs"]) - set(find_space(recipe)) == set()  # an LSTM has them all
    foreign = RECIPES["any_sequence"].model_copy(update={"name": "lip_reading"})
    assert "model.layer" not in find_space(foreign)
    assert "optim.lr" in find_space(foreign)
    assert find_space(recipe.model_copy(update={"name": "mine"})) == GENERAL


def test_an_axis_knows_its_own_values() -> None:
    assert holds(Uniform(low=0, high=1), 1)
    assert not holds(LogUniform(low=1e-4, high=1e-2), 0.1)
    assert not holds(Uniform(low=0, high=1), None)
    choice = Choice(values=((64,), None, "last"))
    assert [holds(choice, value) for value in ([64], None, "last", [32], "null")] == [True, True, True, False, False]
    assert [json.loads(text) for text in choice.texts] == [[64], None, "last"]
    with pytest.raises(KeyError):
        value_at(RECIPES["unified_signs"], "optim.lr.x")


@each_recipe
def test_what_may_change_while_a_network_is_trained_changes_neither_its_shape_nor_what_is_read(recipe: Recipe) -> None:
    space = live(find_space(recipe))
    assert {"optim.lr", "optim.weight_decay"} <= set(space)
    before = shapes(fitted(recipe))
    for key, axis in space.items():
        for value in (axis.low, axis.high):
            after = override(recipe, [f"{key}={value}"])
            assert shapes(fitted(after)) == before
            assert (after.parts, after.train, after.frontend) == (recipe.parts, recipe.train, recipe.frontend)


def shapes(recipe: Recipe) -> dict[str, torch.Size]:
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build(recipe, num_classes(recipe)).state_dict().items()}


@given(st.floats(0, 1), st.booleans())
def test_a_number_is_found_where_it_lies_on_its_axis(share: float, magnitude: bool) -> None:
    axis = LogUniform(low=1e-4, high=1e-1) if magnitude else Uniform(low=0, high=0.5)
    number = number_at(axis, share)
    assert holds(axis, number)
    assert abs(height(axis, number) - share) < 0.01  # three digits
    assert (height(axis, -1.0), height(axis, 7.0)) == (0, 1)
