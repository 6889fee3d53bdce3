"""A user who makes a mistake gets one line that says what to do, exit code 2, and nothing half-written."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sigflow.recipes.catalogue import find_recipe, find_space
from sigflow.recipes.space import value_at
from sigflow.storage import Location

ROOT = Path(__file__).parents[2]
Job = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """Runs a job as `python jobs/NAME.py ...` would, in this process; gives its one line of complaint."""

    def run(name: str, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "jobs" / f"{name}.py"), run_name="__main__")
        shown = capsys.readouterr()
        assert stopped.value.code == 2
        assert shown.out == ""
        lines = [line for line in shown.err.splitlines() if line]
        assert len(lines) == 1, shown.err
        return lines[0]

    return run


def test_missing_folder(refused: Job, tmp_path: Path) -> None:
    said = refused("extract", "--videos", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "nowhere does not exist" in said
    assert not (tmp_path / "out").exists()


def test_empty_folder_and_folder_without_videos(refused: Job, tmp_path: Path) -> None:
    assert "holds no video" in refused("extract", "--videos", tmp_path, "--out", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("no video")
    assert "holds no video" in refused("extract", "--videos", tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_part_and_bad_number(refused: Job, tmp_path: Path) -> None:
    assert "hands, pose, face" in refused("extract", "--videos", tmp_path, "--out", tmp_path, "--parts", "feet")
    assert "above 0" in refused("extract", "--videos", tmp_path, "--out", tmp_path, "--every", "0")


def test_unknown_scheme(refused: Job, tmp_path: Path) -> None:
    assert "s3://" in refused("extract", "--videos", "ftp://host/videos", "--out", tmp_path)


def test_unknown_recipe(refused: Job, gesture_landmarks: Location, tmp_path: Path) -> None:
    said = refused("train", "--recipe", "nonsense", "--data", gesture_landmarks, "--out", tmp_path / "run")
    assert "nonsense" in said
    assert "isolated_gestures" in said


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("optim.lrr=1", "optim.lr"), ("optim.lr=fast", "number"), ("optim.lr", "key=value"), ("optim=3", "optim")],
)
def test_bad_set(refused: Job, gesture_landmarks: Location, tmp_path: Path, setting: str, expected: str) -> None:
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks, "--out", tmp_path / "run", "--set", setting)
    assert expected in refused("train", *words)
    assert not (tmp_path / "run").exists()


def test_no_landmarks(refused: Job, tmp_path: Path) -> None:
    words = ("--recipe", "isolated_gestures", "--data", tmp_path / "none", "--out", tmp_path / "run")
    assert "does not exist" in refused("train", *words)


def test_one_class(refused: Job, tmp_path: Path, write_gestures: Callable[..., Location]) -> None:
    data = write_gestures(tmp_path / "data", gestures=("wave",))
    words = ("--recipe", "isolated_gestures", "--data", data, "--out", tmp_path / "run")
    assert "at least 2 classes" in refused("train", *words)
    assert not (tmp_path / "run").exists()


def test_fewer_subjects_than_folds(refused: Job, gesture_landmarks: Location, tmp_path: Path) -> None:
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks, "--out", tmp_path / "run", "--folds", "9")
    said = refused("train", *words)
    assert "5 subjects" in said
    assert "random:" in said
    assert not (tmp_path / "run").exists()


def test_unknown_holdout(refused: Job, gesture_landmarks: Location, tmp_path: Path) -> None:
    words = (
        "--recipe",
        "isolated_gestures",
        "--data",
        gesture_landmarks,
        "--out",
        tmp_path / "run",
        "--holdout",
        "zoe",
    )
    assert "zoe" in refused("train", *words)


def test_ensemble_of_no_run(refused: Job, tmp_path: Path) -> None:
    assert "holds no run" in refused("ensemble", "--runs", tmp_path, "--out", tmp_path / "bundle")


def test_relative_path_inside_a_submitted_job(refused: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert "absolute path" in refused("extract", "--videos", "my_clips", "--out", "landmarks")


def test_sentences_are_composed_into_an_empty_place_and_trained_only_with_glosses(
    refused: Job, gesture_landmarks: Location, tmp_path: Path
) -> None:
    hands = ("--parts", "left_hand,right_hand")
    assert "no landmarks in" in refused("compose", "--data", tmp_path / "nowhere", "--out", tmp_path / "out", *hands)
    said = refused("compose", "--data", gesture_landmarks, "--out", gesture_landmarks, *hands)
    assert "holds clips already" in said
    said = refused("compose", "--data", gesture_landmarks, "--out", tmp_path / "out")
    assert "has no pose" in said
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_fit_the_labels_leaves_nothing_behind(
    refused: Job, gesture_landmarks: Location, tmp_path: Path
) -> None:
    words = ("--recipe", "isolated_gestures", "--set", "model.single_logit=true", "--folds", "2")
    said = refused("train", *words, "--data", gesture_landmarks, "--out", tmp_path / "run")
    assert "needs 2 classes, not 3" in said
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_learnt_from(refused: Job, tmp_path: Path) -> None:
    words = ("--videos", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert "nonsense" in refused("learn", *words, "--recipe", "nonsense")
    assert "cannot stand in a URL" in refused("learn", *words, "--name", "my signs")
    assert "invalid choice" in refused("learn", *words, "--until", "tomorrow")
    assert not (tmp_path / "out").exists()
    assert "nowhere does not exist" in refused("learn", *words)
    assert "does not exist" in json.loads((tmp_path / "out/learn.json").read_text())["error"]


def test_a_search_that_makes_no_sense_or_writes_over_something(
    refused: Job, gesture_landmarks: Location, tmp_path: Path
) -> None:
    words = ("--data", gesture_landmarks, "--out", tmp_path / "out")
    assert "nonsense" in refused("tune", "--recipe", "isolated_gestures,nonsense", *words)
    assert "two recipes" in refused("tune", "--recipe", "isolated_gestures,isolated_gestures", *words)
    assert "cannot be compared" in refused("tune", "--recipe", "isolated_gestures,continuous_signs", *words)
    assert "invalid choice" in refused("tune", "--recipe", "isolated_gestures", *words, "--search", "grid")
    for recipes in ("isolated_gestures,unified_signs", "any_sequence"):
        assert "--search pbt" in refused("tune", "--recipe", recipes, *words, "--search", "pbt")
    assert "above 0" in refused("tune", "--recipe", "isolated_gestures", *words, "--time-limit", "0")
    recipe = find_recipe("any_sequence")
    fixed = [word for key in find_space(recipe) for word in ("--set", f"{key}={value_at(recipe, key)}")]
    assert "nothing to search" in refused("tune", "--recipe", "any_sequence", *words, *fixed)
    assert "random:" in refused("tune", "--recipe", "isolated_gestures", *words, "--folds", "9")
    assert not (tmp_path / "out").exists()


def test_a_status_of_nothing(refused: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--out DIR, --cluster or both" in refused("status")
    assert "nowhere holds nothing" in refused("status", "--out", tmp_path / "nowhere")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert "RAY_ADDRESS" in refused("status", "--cluster")
