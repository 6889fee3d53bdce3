"""If these fail, a user takes chance for progress, or is not told what was changed."""

import json
from typing import Any

import numpy as np
import pytest

from sigflow.experiments import record
from sigflow.experiments.compare import accuracy_difference, compare, wer_difference
from sigflow.experiments.index import find_run, read_index
from sigflow.recipes.catalogue import find_recipe
from sigflow.storage import Location, locate
from tests.experiments.made import finished


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Location:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return locate(tmp_path_factory.mktemp("runs"))


def compared(folder: Location, *names: str) -> dict[str, Any]:
    rows = read_index(folder)
    found = compare(folder, [find_run(rows, name) for name in names])
    assert json.loads(json.dumps(found)) == found
    return found


def test_mcnemar_by_hand() -> None:
    """1 clip only the first has right, 9 only the other: p = 2 (1 + 10) / 2^10."""
    first = np.array([True] * 11 + [False] * 9)
    other = np.array([True] * 10 + [False] + [True] * 9)
    found = accuracy_difference(first, other, ["ada", "bo"] * 10)
    assert (found["only_first_right"], found["only_other_right"]) == (1, 9)
    assert found["p_value"] == pytest.approx(22 / 1024)
    assert found["significant"]
    assert found["difference"] == pytest.approx(8 / 20)
    assert found["too_few_units"]


def test_equal_answers_are_no_difference() -> None:
    right = np.array([True, False, True])
    found = accuracy_difference(right, right, [None, None, None])
    assert (found["p_value"], found["significant"], found["interval"]) == (1.0, False, [0.0, 0.0])
    assert found["drawn"] == "clips"


def test_wer_differs_when_every_subject_gains_and_not_when_one_does() -> None:
    subjects = [f"person {number}" for number in range(12)]
    gains = wer_difference([2] * 12, [1] * 12, [4] * 12, subjects)
    assert gains["difference"] == pytest.approx(-0.25) == gains["interval"][0] == gains["interval"][1]
    assert gains["significant"]
    one = wer_difference([2] * 12, [0, *[2] * 11], [4] * 12, subjects)
    assert one["difference"] == pytest.approx(-2 / 48)
    assert not one["significant"]


def test_runs_stand_side_by_side_with_what_was_changed_and_a_test(folder: Location) -> None:
    """Of 16 clips b is right everywhere, a only for the 8 a and the 2 last b: 6 differ, p = 2 / 2^6."""
    poor = [[0]] * 12 + [[0], [1]] * 2
    record(folder / "a", *finished(folder / "a", given=poor), 1.0)
    record(folder / "b", *finished(folder / "b", settings=["optim.lr=0.0003"]), 2.0)
    found = compared(folder, "a", "b")
    assert found["runs"] == ["a", "b"]
    assert found["settings"] == {"optim.lr": [find_recipe("isolated_gestures").optim.lr, 0.0003]}
    assert found["figures"]["accuracy"] == [10 / 16, 1.0]
    (test,) = found["tests"]
    assert test["p_value"] == pytest.approx(2 / 64)
    assert test["difference"] == pytest.approx(6 / 16)


def test_sentences_are_compared_by_edits(folder: Location) -> None:
    """4 sentences of 2 glosses: one run leaves the second out, the other has both."""
    common = {"recipe": "continuous_signs", "labels": ("<blank>", "x", "y"), "true": ["x y"] * 4}
    record(folder / "a", *finished(folder / "a", given=[[1, 0]] * 4, **common), 1.0)  # type: ignore[arg-type]
    changed = {**common, "settings": ["train.epochs=7"], "given": [[1, 2]] * 4}
    record(folder / "b", *finished(folder / "b", **changed), 1.0)  # type: ignore[arg-type]
    (test,) = compared(folder, "a", "b")["tests"]
    assert (test["method"], test["figure"], test["difference"]) == ("paired bootstrap", "wer", -0.5)
    assert (test["interval"], test["significant"], test["units"]) == ([-0.5, -0.5], True, 4)


def test_what_cannot_be_compared_is_not_tested_and_says_why(folder: Location) -> None:
    record(folder / "a", *finished(folder / "a"), 1.0)
    record(folder / "folds", *finished(folder / "folds", folds="e" * 64), 1.0)
    more = {"labels": ("a", "b", "c"), "given": [[0], [1]] * 8}
    record(folder / "classes", *finished(folder / "classes", **more), 1.0)  # type: ignore[arg-type]
    record(folder / "gone", *finished(folder / "gone", settings=["train.epochs=7"]), 1.0)
    (folder / "gone" / "run.json").delete()
    tests = compared(folder, "a", "folds", "classes", "gone")["tests"]
    reasons = [test["untested"] for test in tests]
    assert "the clips or folds differ" in reasons[0]
    assert reasons[1] == "the classes differ"
    assert "holds no run" in reasons[2]
