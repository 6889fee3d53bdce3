"""If these fail, what was tried is lost, or another trial is called the best."""

from pathlib import Path

import pytest

from sigflow.errors import UserError
from sigflow.recipes.catalogue import RECIPES
from sigflow.storage import locate
from sigflow.tuning import best_of, changed, read_trials, table, write_trial
from sigflow.tuning.trials import short
from tests.tuning.made import trial


def test_trials_are_read_as_they_were_written_in_their_order(tmp_path: Path) -> None:
    given = [
        trial(2, 0.5, 0.6, 0.7),
        trial(10, 0.5, reason="others were better", overrides={"model.hidden": [64, 32], "model.projection": None}),
        trial(11, state="failed", reason="diverged: the loss is not finite", alarms=("fold 0 collapse",)),
    ]
    for each in reversed(given):
        write_trial(locate(tmp_path), each)
    (tmp_path / "trials" / ".partial-x-0012.json").write_text("{")
    assert read_trials(locate(tmp_path)) == given
    assert read_trials(locate(tmp_path / "nowhere")) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_trial(locate(tmp_path), trial(0, 0.5))
    (tmp_path / "trials" / "0000.json").write_text('{"number": 0}')
    with pytest.raises(UserError, match=r"0000\.json is damaged"):
        read_trials(locate(tmp_path))


def test_only_trials_of_all_folds_can_be_the_best() -> None:
    easy = trial(1, 0.99)
    failed = trial(2, 0.95, 0.95, 0.95, state="failed")
    trials = [trial(0, 0.7, 0.8, 0.9), easy, failed, trial(3, 0.7, 0.8, 0.91), trial(4, 0.7, 0.8, 0.91)]
    found = best_of(trials, "macro_f1")
    assert found is not None
    assert found.number == 3  # of two alike the first
    low = best_of(trials, "wer")
    assert low is not None
    assert low.number == 0
    assert best_of([easy, failed], "macro_f1") == easy  # where none came to the end
    assert best_of([trial(0, state="failed")], "macro_f1") is None


def test_the_table_has_a_column_for_each_setting_and_fold() -> None:
    trials = [
        trial(0, 0.5, 0.7, 0.9, overrides={"optim.lr": 1, "model.hidden": [8], "model.pooling": "last"}),
        trial(1, 0.4, recipe="other", overrides={"optim.lr": 0.5, "train.epochs": 3}),
        trial(2, state="failed", reason="diverged", overrides={"model.hidden": None}),
    ]
    found = table(trials).to_pydict()
    assert found["optim.lr"] == [1.0, 0.5, None]
    assert found["model.hidden"] == ["[8]", None, None]
    assert found["model.pooling"] == ["last", None, None]
    assert found["train.epochs"] == [None, 3, None]
    assert [found[f"fold_{k}"] for k in range(3)] == [[0.5, 0.4, None], [0.7, None, None], [0.9, None, None]]
    assert found["score"] == [pytest.approx(0.7), 0.4, None]
    assert found["state"] == ["complete", "stopped", "failed"]
    assert found["reason"] == [None, None, "diverged"]
    assert table([]).num_rows == 0


def test_settings_become_a_recipe_and_words() -> None:
    recipe = RECIPES["unified_signs"]
    settings = {"model.hidden": [96], "model.projection": None, "optim.lr": 2e-3}
    recipes = {recipe.name: recipe}
    assert changed(recipe, settings).model_dump(mode="json")["model"]["hidden"] == [96]
    assert short(recipes, trial(0, recipe=recipe.name, overrides=settings)) == "hidden=[96] lr=0.002"
    assert short(recipes, trial(0, recipe=recipe.name, overrides={"optim.lr": 3e-3})) == "the recipe as it is"
    with pytest.raises(UserError, match="dropout"):
        changed(recipe, {"model.dropout": 1.5})
