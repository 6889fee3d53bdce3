"""If these fail, the log says that something else was trained, or keeps a password."""

import pytest

from sigflow.experiments.settings import overrides, without_credentials
from sigflow.recipes.catalogue import RECIPES, find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.settings import leaves


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_has_no_overrides(name: str) -> None:
    assert overrides(find_recipe(name)) == []


def test_changes_are_named_as_the_flag_set_takes_them_and_bring_the_same_recipe_back() -> None:
    shipped = find_recipe("isolated_gestures")
    told = ["model.hidden=[16]", "optim.lr=0.0003", "optim.schedule=cosine", "train.epochs=7"]
    changed = override(shipped, told)
    assert overrides(changed) == told
    other = shipped.model_copy(update={"model": find_recipe("unified_signs").model})  # of another kind
    assert override(shipped, overrides(other) or []) == other


def test_a_recipe_of_ones_own_is_compared_with_none() -> None:
    assert overrides(find_recipe("isolated_gestures").model_copy(update={"name": "mine"})) is None


def test_every_leaf_has_its_path() -> None:
    assert leaves({"a": {"b": [1, {"c": None}]}, "d": [], "e": True}) == {
        "a.b.0": 1, "a.b.1.c": None, "d": [], "e": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("s3://key:secret@bucket/runs/a", "s3://bucket/runs/a"),
        ("s3://bucket/a?secret_key=x", "s3://bucket/a"),
        ("/home/ada@work/what?/a", "/home/ada@work/what?/a"),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
    ],
)
def test_credentials_are_not_kept(uri: str, kept: str) -> None:
    assert without_credentials(uri) == kept
