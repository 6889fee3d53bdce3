"""What a recipe changes, as text; addresses without secrets."""

import json
import re
from typing import Any

from sigflow.recipes.catalogue import RECIPES
from sigflow.recipes.recipe import Recipe


def overrides(recipe: Recipe) -> list[str] | None:
    """What differs from the shipped recipe of this name, as `key=value` that `--set` takes; None: none is shipped.

    What was fitted to the data (the channels of `raw`, a length) is named too: the run used it.
    """
    if recipe.name not in RECIPES:
        return None
    return _changes(RECIPES[recipe.name].model_dump(mode="json"), recipe.model_dump(mode="json"))


def without_credentials(uri: str) -> str:
    """The address without user, password and query, any of which may hold a secret; a local path as it is."""
    return re.sub(r"://[^/]*@", "://", uri).partition("?")[0] if "://" in uri else uri


def _changes(shipped: Any, own: Any, path: str = "") -> list[str]:
    if shipped == own:
        return []
    if isinstance(shipped, dict) and isinstance(own, dict) and shipped.keys() == own.keys():
        return [change for key in own for change in _changes(shipped[key], own[key], f"{path}.{key}" if path else key)]
    return [f"{path}={_text(own)}"]  # of another kind, as a whole: its keys are others


def _text(value: Any) -> str:
    """As JSON, and a text plain where it is not taken for something else."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except json.JSONDecodeError:
            return value
    return json.dumps(value)
