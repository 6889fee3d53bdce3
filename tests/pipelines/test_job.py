"""If these fail, a mistyped flag becomes a traceback, or a path means something else than its user thinks."""

import argparse

import pytest

from sigflow.errors import UserError
from sigflow.pipelines import job


def test_names_keep_their_order_and_lose_repetitions() -> None:
    assert job.names(("hands", "pose", "face"))("pose,hands,pose") == ("pose", "hands")


@pytest.mark.parametrize("text", ["", ",", "feet", "hands,feet"])
def test_unknown_names_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UserError, match="hands, pose"):
        job.names(("hands", "pose"))(text)


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", ""])
def test_what_must_be_positive_is(text: str) -> None:
    with pytest.raises(UserError, match="above 0"):
        job.positive(float)(text)
    assert job.positive(int)("3") == 3


@pytest.mark.parametrize("text", ["a/b", "", ".hidden", "a b", "a:predict"])
def test_a_name_can_stand_in_a_url(text: str) -> None:
    with pytest.raises(UserError, match="URL"):
        job.name(text)
    assert job.name("gestures-2.1") == "gestures-2.1"


def test_a_relative_path_is_this_folders_unless_the_job_was_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert job.path("clips").uri.endswith("/clips")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(UserError, match="absolute"):
        job.path("clips")
    assert job.path("/data/clips").uri == "/data/clips"


def test_storage_that_does_not_come_back_ends_a_job_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is nobody's mistake, so that a traceback helps nobody; and it says how to go on."""

    def main(args: argparse.Namespace) -> None:
        raise OSError("ray::work()\n  File ...\nOSError: AWS Error NETWORK_CONNECTION during HeadObject operation")

    monkeypatch.setattr("sys.argv", ["job"])
    with pytest.raises(SystemExit) as ended:
        job.run("A job.", lambda parser: None, main)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: object storage does not answer: OSError: AWS Error NETWORK_CONNECTION")
    assert "--resume" in line
