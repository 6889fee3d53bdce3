"""A user who asks whether the data will do gets all findings at once, as text and as JSON, and an exit code."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sigflow.storage import Location

JOB = Path(__file__).parents[2] / "jobs" / "audit.py"


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `python jobs/audit.py ...`."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["audit.py", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(JOB), run_name="__main__")
        shown = capsys.readouterr()
        return int(str(stopped.value.code)), shown.out, shown.err

    return run


def test_findings_come_as_json_and_as_text_and_an_error_exits_with_1(
    audited: Callable[..., tuple[int, str, str]], gesture_landmarks: Location
) -> None:
    """60 clips, of which 36 train 47,000 parameters."""
    words = ("--data", gesture_landmarks, "--recipe", "isolated_gestures")
    code, out, err = audited(*words)
    answer = json.loads(out)
    assert (code, answer["ok"]) == (1, False)
    assert set(answer["findings"][0]) == {"code", "severity", "evidence", "mend"}
    assert answer["findings"][0]["severity"] == "error"
    assert "error: too_many_parameters:" in err
    code, out, err = audited(*words, "--set", "model.hidden=[16]", "--set", "model.dense=8")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (0, True)
    assert "few_clips" in {finding["code"] for finding in answer["findings"]}
    assert "warning: few_clips:" in err


def test_bad_input_exits_with_2_and_one_line(audited: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    code, out, err = audited("--data", tmp_path / "none", "--recipe", "isolated_gestures")
    assert (code, out) == (2, "")
    assert "does not exist" in err
    assert len(err.strip().splitlines()) == 1
