"""If these fail, half a minute without object storage ends a job that runs for days, or costs it rows."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from sigflow.storage import Location, locate
from tests.integration.chaos.conftest import SHORT, Start, wait_until
from tests.integration.chaos.forwarder import Cut, Forwarder
from tests.integration.conftest import Cluster
from tests.integration.test_killed_training import FOLDS, SETTINGS, undisturbed
from tests.integration.test_resume import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CUT_S = 30.0


@pytest.fixture
def door(s3: dict[str, str]) -> Iterator[Forwarder]:
    forwarder = Forwarder(int(s3["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    yield forwarder
    forwarder.close()


@pytest.fixture
def through(door: Forwarder, s3: dict[str, str]) -> dict[str, str]:
    """The environment of those who reach storage by the door."""
    return s3 | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{door.port}"}


@pytest.fixture
def system(s3: dict[str, str]) -> fs.S3FileSystem:
    """The same storage, which is always there."""
    endpoint = s3["AWS_ENDPOINT_URL"].removeprefix("http://")
    return fs.S3FileSystem(access_key="test", secret_key="test", endpoint_override=endpoint, scheme="http")


@pytest.fixture
def files(system: fs.S3FileSystem) -> Callable[[str, str], int]:
    """How many of that ending there are below a folder."""

    def count(folder: str, ending: str) -> int:
        found = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        return sum(info.path.endswith(ending) for info in found)

    return count


def cut_and_wait(door: Forwarder, how: Cut, driver: subprocess.Popen[bytes], said: Path) -> None:
    """Cut it, and let the job end."""
    with door.cut(how):
        began = time.monotonic()
        while time.monotonic() - began < CUT_S:
            assert driver.poll() is None, said.read_text()
            time.sleep(0.5)
    assert driver.wait(280) == 0, said.read_text()
    print(f"{how}: ended {time.monotonic() - began - CUT_S:.1f} s after storage was back")


def test_an_extraction_waits_for_storage(
    small: Cluster,
    start: Start,
    door: Forwarder,
    through: dict[str, str],
    system: fs.S3FileSystem,
    files: Callable[[str, str], int],
    sample_videos: Path,
    said: Path,
    tmp_path: Path,
) -> None:
    """Reads, writes and listings meet the cut; the rows are those of an extraction that nobody disturbed."""
    fs.copy_files(str(sample_videos), "bucket/cut/videos", destination_filesystem=system)
    driver = start("extract", "--videos", "s3://bucket/cut/videos", "--out", "s3://bucket/cut/out", **through)
    wait_until(lambda: files("bucket/cut/out/landmarks", ".parquet") >= 2, driver, said)
    cut_and_wait(door, "refused", driver, said)
    small.job("extract", "--videos", sample_videos, "--out", tmp_path / "whole")
    table = pq.read_table("bucket/cut/out/landmarks", filesystem=system)
    assert len(table) == 24
    found = {row["clip_id"]: row for row in table.drop_columns(["source", "source_modified_ms"]).to_pylist()}
    assert found == rows(tmp_path / "whole")
    assert files("bucket/cut/out/quarantine", ".parquet") == 0


def test_a_training_waits_for_storage(
    start: Start,
    door: Forwarder,
    through: dict[str, str],
    system: fs.S3FileSystem,
    files: Callable[[str, str], int],
    gesture_landmarks: Location,
    said: Path,
    tmp_path: Path,
) -> None:
    fs.copy_files(gesture_landmarks.uri, "bucket/cut/data", destination_filesystem=system)
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ("--recipe", "isolated_gestures", "--data", "s3://bucket/cut/data", "--out", "s3://bucket/cut/run")
    driver = start("train", *words, "--folds", FOLDS, *sets, **through)
    wait_until(lambda: files("bucket/cut/run", "fold.json") >= 1, driver, said)
    cut_and_wait(door, "silent", driver, said)
    undisturbed(gesture_landmarks, locate(tmp_path / "whole"))
    with system.open_input_stream("bucket/cut/run/metrics.json") as metrics:
        assert metrics.read().decode() == (tmp_path / "whole/metrics.json").read_text()


def test_a_search_waits_for_storage(
    start: Start,
    door: Forwarder,
    through: dict[str, str],
    system: fs.S3FileSystem,
    files: Callable[[str, str], int],
    gesture_landmarks: Location,
    said: Path,
) -> None:
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks.uri, "--out", "s3://bucket/cut/tuned")
    driver = start("tune", *words, "--folds", "3", "--trials", "5", *SHORT, **through)
    wait_until(lambda: files("bucket/cut/tuned/trials", ".json") >= 1, driver, said)
    cut_and_wait(door, "refused", driver, said)
    trials = pq.read_table("bucket/cut/tuned/trials.parquet", filesystem=system)
    assert trials["number"].to_pylist() == list(range(5))
    assert "failed" not in trials["state"].to_pylist()


def test_storage_that_never_comes_back_ends_a_job_with_one_line(
    small: Cluster, door: Forwarder, through: dict[str, str], tmp_path: Path
) -> None:
    """At once where it was never there; nobody waits for a name that was mistyped."""
    with door.cut("refused"):
        done = small.run(
            "python", "jobs/extract.py", "--videos", "s3://bucket/cut/videos", "--out", tmp_path, cwd=None, **through
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot reach s3://bucket/cut/videos" in done.stderr.splitlines()[-1]
