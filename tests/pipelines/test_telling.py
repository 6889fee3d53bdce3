"""If these fail, who waits for a job does not learn how far it is, or why it ended."""

import sys
from pathlib import Path

import pytest

from sigflow.errors import UserError
from sigflow.pipelines.stages import Job, new_job, read_job
from sigflow.pipelines.telling import Telling
from sigflow.storage import locate


def read(place: Path) -> Job:
    job = read_job(locate(place))
    assert job
    return job


def test_each_stage_is_told_while_it_runs_and_when_it_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Telling(locate(tmp_path), new_job("1a", "audit")) as telling:
        assert [stage.state for stage in read(tmp_path).stages] == ["waiting", "waiting"]
        with telling.stage("extract", lambda: (2, 3)):
            print(f"10 %\r20 %\nread {tmp_path}/clips/a.webm\n\nhal", end="", file=sys.stderr)
            telling.look()
            extract, audit = telling.job.stages
            assert (extract.state, extract.done, extract.of) == ("running", 2, 3)
            assert extract.said == "read clips/a.webm"
            assert audit.state == "waiting"
        with telling.stage("audit"):
            pass
    job = read(tmp_path)
    assert (job.state, job.error) == ("done", None)
    assert [stage.state for stage in job.stages] == ["done", "done"]
    assert "20 %\nread" in capsys.readouterr().err, "people on a terminal see all of it"


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (UserError("no\n  good"), "failed", "no good"), (ValueError("x"), "failed", "ValueError: x"),
        (KeyboardInterrupt(), "stopped", None), (SystemExit(143), "stopped", None),
    ],
)  # fmt: skip
def test_a_job_says_how_it_ended(tmp_path: Path, error: BaseException, state: str, told: str | None) -> None:
    def run() -> None:
        with Telling(locate(tmp_path), new_job("1a", "bundle")) as telling:
            with telling.stage("extract"):
                pass
            with telling.stage("audit"):
                raise error

    with pytest.raises(type(error)):
        run()
    job = read(tmp_path)
    assert (job.state, job.error) == (state, told)
    left = "failed" if state == "failed" else "waiting"
    assert [stage.state for stage in job.stages] == ["done", left, "waiting", "waiting", "waiting"]


def test_a_count_that_cannot_be_had_ends_nothing(tmp_path: Path) -> None:
    def count() -> tuple[int, int]:
        raise OSError("storage is away")

    with Telling(locate(tmp_path), new_job("1a", "audit")) as telling, telling.stage("extract", count):
        telling.look()
    assert read(tmp_path).stages[0].done == 0
