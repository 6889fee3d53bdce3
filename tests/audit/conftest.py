"""Clips without a fault, and what is found of them."""

from collections.abc import Callable

import pytest

from sigflow.audit import Finding, audit, make_plan
from sigflow.data.clips import Clips
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe
from tests.audit.spoil import hand_clips

Find = Callable[..., dict[str, Finding]]


@pytest.fixture(scope="session")
def good() -> Clips:
    """6 subjects x 3 labels x 13 takes: 234 clips, 78 of each class."""
    return hand_clips()


@pytest.fixture
def find() -> Find:
    """The findings of a run on clips, by code."""

    def audited(clips: Clips, recipe: Recipe | str = "isolated_gestures", *, folds: str = "5") -> dict[str, Finding]:
        recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
        found = audit(make_plan(recipe, clips, folds_spec=folds))
        by_code: dict[str, Finding] = {finding.code: finding for finding in found}
        assert len(by_code) == len(found)
        return by_code

    return audited
