"""If these fail, two searches mix in one folder, or one that was interrupted cannot go on."""

from pathlib import Path
from typing import Any

import pytest

from sigflow.errors import UserError
from sigflow.recipes.catalogue import RECIPES, find_space
from sigflow.storage import locate
from sigflow.tuning import Search, start_search

RECIPE = RECIPES["unified_signs"]


def search(**changes: Any) -> Search:
    given: dict[str, Any] = {
        "recipes": (RECIPE,), "spaces": {RECIPE.name: dict(find_space(RECIPE))}, "data": "here",
        "data_fingerprint": "f", "folds_spec": "5", "folds_fingerprint": "g", "holdout": (), "method": "tpe",
    }  # fmt: skip
    return Search(**given | changes)


def test_a_folder_belongs_to_one_search(tmp_path: Path) -> None:
    place = locate(tmp_path / "out")
    start_search(place, search(), resume=False)
    start_search(place, search(data="the same data elsewhere"), resume=True)
    with pytest.raises(UserError, match="add --resume"):
        start_search(place, search(), resume=False)
    others: list[dict[str, Any]] = [
        {"data_fingerprint": "x"}, {"folds_fingerprint": "x"}, {"holdout": ("a",)}, {"method": "random"},
        {"recipes": (RECIPES["isolated_gestures"],)}, {"spaces": {RECIPE.name: {}}},
    ]  # fmt: skip
    for other in others:
        with pytest.raises(UserError, match="another --out"):
            start_search(place, search(**other), resume=True)


def test_a_run_or_a_damaged_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run"):
        start_search(locate(tmp_path), search(), resume=True)
    (tmp_path / "search.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        start_search(locate(tmp_path), search(), resume=True)
