"""The recipes that sigflow ships, and what a search may change of them, by name."""

from collections.abc import Sequence
from pathlib import Path

from sigflow.errors import UserError
from sigflow.recipes import (
    any_sequence,
    continuous_signs,
    fall_detection,
    isolated_gestures,
    lip_reading,
    recorded_gestures,
    unified_signs,
)
from sigflow.recipes.recipe import Recipe, read_recipe
from sigflow.recipes.space import Choice, LogUniform, Space, value_at

RECIPES = {
    recipe.name: recipe
    for recipe in (
        isolated_gestures.RECIPE,
        recorded_gestures.RECIPE,
        unified_signs.RECIPE,
        continuous_signs.RECIPE,
        fall_detection.RECIPE,
        lip_reading.RECIPE,
        lip_reading.V2,
        lip_reading.V3,
        any_sequence.RECIPE,
    )
}
SPACES = {
    "isolated_gestures": isolated_gestures.SPACE,
    "recorded_gestures": recorded_gestures.SPACE,
    "unified_signs": unified_signs.SPACE,
    "continuous_signs": continuous_signs.SPACE,
    "fall_detection": fall_detection.SPACE,
    "lip_reading": lip_reading.SPACE,
    "lip_reading_v2": lip_reading.SPACE,
    "lip_reading_v3": lip_reading.SPACE,
    "any_sequence": any_sequence.SPACE,
}
# Of recipes of any other name: what every model has.
GENERAL: Space = {
    "optim.lr": LogUniform(low=3e-4, high=1e-2),
    "optim.weight_decay": LogUniform(low=1e-5, high=1e-1),
    "train.batch_size": Choice(values=(16, 32, 64)),
}


def find_recipe(name_or_file: str) -> Recipe:
    """A shipped recipe by name, or one from a .json file."""
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    if name_or_file.endswith(".json"):
        return read_recipe(Path(name_or_file))
    raise UserError(f"unknown recipe '{name_or_file}'; use {', '.join(RECIPES)}, or a .json file")


def find_space(recipe: Recipe, fixed: Sequence[str] = ()) -> Space:
    """What a search may change of this recipe, without the keys that are `fixed` and what lies below them.

    It stands beside the shipped recipe of this name, and counts as far as the recipe has those keys (one from a file
    may have another model); of any other name it is what every model has.
    """
    return {
        key: axis
        for key, axis in SPACES.get(recipe.name, GENERAL).items()
        if _has(recipe, key) and not any(f"{key}.".startswith(f"{name}.") for name in fixed)
    }


def _has(recipe: Recipe, key: str) -> bool:
    try:
        value_at(recipe, key)
    except KeyError:
        return False
    return True
