"""The recipes that sigflow ships, by name."""

from pathlib import Path

from sigflow.errors import UserError
from sigflow.recipes import (
    any_sequence,
    continuous_signs,
    fall_detection,
    isolated_gestures,
    lip_reading,
    unified_signs,
)
from sigflow.recipes.recipe import Recipe, read_recipe

RECIPES = {
    recipe.name: recipe
    for recipe in (
        isolated_gestures.RECIPE,
        unified_signs.RECIPE,
        continuous_signs.RECIPE,
        fall_detection.RECIPE,
        lip_reading.RECIPE,
        lip_reading.V2,
        lip_reading.V3,
        any_sequence.RECIPE,
    )
}


def find_recipe(name_or_file: str) -> Recipe:
    """A shipped recipe by name, or one from a .json file."""
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    if name_or_file.endswith(".json"):
        return read_recipe(Path(name_or_file))
    raise UserError(f"unknown recipe '{name_or_file}'; use {', '.join(RECIPES)}, or a .json file")
