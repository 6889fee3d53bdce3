"""A user who scores, publishes or fetches a bundle gets one JSON line, or one line that says what is wrong."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sigflow.bundle import read_bundle
from sigflow.storage import Location, locate

ROOT = Path(__file__).parents[2]
Job = Callable[..., tuple[int, str, str]]


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """Exit code, last line of stdout, and stderr of `python jobs/NAME.py ...`."""

    def run(name: str, *words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / "jobs" / f"{name}.py"), run_name="__main__")
        said = capsys.readouterr()
        return int(str(stopped.value.code)), said.out.strip(), said.err

    return run


def test_a_bundle_is_pushed_listed_and_pulled(job: Job, exported_bundle: Location, tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    code, out, _ = job("bundle", "push", "--bundle", exported_bundle, "--registry", registry)
    assert (code, json.loads(out)["written"]) == (0, True)
    code, out, _ = job("bundle", "list", "--registry", registry)
    assert [(one["name"], one["version"]) for one in json.loads(out)["bundles"]] == [("gestures", "1a2b3c")]
    pull = ("bundle", "pull", "--registry", registry, "--name", "gestures", "--out", tmp_path / "here")
    code, out, _ = job(*pull)
    assert json.loads(out) | {"created": ""} == {
        "name": "gestures", "version": "1a2b3c", "created": "", "place": f"{registry}/gestures/1a2b3c", "files": 1,
        "written": True,
    }  # fmt: skip
    assert read_bundle(locate(tmp_path / "here")).manifest == read_bundle(exported_bundle).manifest
    code, out, err = job(*pull[:-2], "--out", tmp_path / "there", "--version", "9")
    assert (code, out) == (2, "")
    assert "holds no version '9' of 'gestures'; it has 1a2b3c" in err


def test_an_action_is_needed(job: Job) -> None:
    code, _, err = job("bundle")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_a_bundle_is_scored(job: Job, exported_bundle: Location, gesture_landmarks: Location, tmp_path: Path) -> None:
    words = ("--bundle", exported_bundle, "--data", gesture_landmarks, "--out", tmp_path / "out")
    code, out, _ = job("evaluate", *words)
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["clips"], answer["precision"]) == (0, 60, "fp32")
    assert answer["accuracy"] > 0.8
    code, _, err = job("evaluate", *words, "--precision", "int8")
    assert code == 2
    assert "has no int8 graph (not exported); choose fp32" in err


def test_a_recording_is_replayed(
    job: Job, exported_bundle: Location, gesture_landmarks: Location, tmp_path: Path
) -> None:
    words = ("--bundle", exported_bundle, "--data", gesture_landmarks, "--out", tmp_path / "out", "--subjects", "ada")
    code, out, _ = job("replay", *words, "--gap-s", "0.8")
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["clips"], answer["gap_s"]) == (0, 12, 0.8)
    assert answer["once"] > answer["missed"] + answer["wrong"] + answer["twice"]
    code, _, err = job("replay", *words, "--gap-s", "0")
    assert code == 2
    assert "above 0" in err


def test_an_unknown_precision_is_refused(job: Job, tmp_path: Path) -> None:
    code, _, err = job("ensemble", "--runs", tmp_path, "--out", tmp_path / "b", "--precisions", "int4")
    assert code == 2
    assert "'int4' is not of fp32, fp16, int8" in err
