"""The same commands with s3:// paths, against a real S3 server on loopback: no node's disk matters."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from sigflow.storage import Location
from tests.integration.conftest import ROOT

# 24 clips are too few for anything but a test; the audit says so.
FORCED = ("--force", "small_test_fold,too_many_parameters,lonely_test_class")
QUICK = ("--set", "train.epochs=15", "--set", "train.patience=5", *FORCED)


@pytest.mark.slow
def test_extract_train_and_export_on_s3(s3: dict[str, str], sample_videos: Path, tmp_path: Path) -> None:
    system = fs.S3FileSystem(
        access_key="test",
        secret_key="test",
        endpoint_override=s3["AWS_ENDPOINT_URL"].removeprefix("http://"),
        scheme="http",
    )
    fs.copy_files(str(sample_videos), "bucket/videos", destination_filesystem=system)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | s3

    def job(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "jobs" / f"{name}.py"), *words]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return done

    words = ("--videos", "s3://bucket/videos", "--out", "s3://bucket/landmarks")
    assert '"clips": 24' in job("extract", *words).stdout
    assert '"skipped": 24' in job("extract", *words).stdout
    table = pq.read_table("bucket/landmarks/landmarks", filesystem=system)
    assert len(table) == len(set(table["clip_id"].to_pylist())) == 24
    recipe = ("--recipe", "isolated_gestures", "--data", "s3://bucket/landmarks", "--out", "s3://bucket/run")
    job("train", *recipe, "--folds", "subject", "--holdout", "dee", *QUICK)
    assert (
        '"measured_on": "holdout subjects"'
        in job("ensemble", "--runs", "s3://bucket/run", "--out", "s3://bucket/b").stdout
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_is_kept_and_gone_on_with_on_s3(
    s3: dict[str, str], gesture_landmarks: Location, tmp_path: Path
) -> None:
    sets = ("--set", "model.hidden=[8]", "--set", "model.dense=8", "--set", "train.epochs=2")
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks.uri, "--out", "s3://bucket/tuned")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | s3
    for more in (("--trials", "1"), ("--trials", "2", "--resume")):
        command = [sys.executable, str(ROOT / "jobs/tune.py"), *words, *sets, "--folds", "2", *more]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
    assert '"trials": 2' in done.stdout
    assert list(tmp_path.iterdir()) == []


_RECORD = """
from concurrent.futures import ThreadPoolExecutor
from serve.page.recordings import counts, find, recorded, store
from sigflow.landmarks.manifest import read_manifest
from sigflow.storage import locate

clips = locate("s3://bucket/page/clips")
with ThreadPoolExecutor(4) as pool:
    made = list(pool.map(lambda number: store(clips, "Zo\xeb", "a b", bytes(number)).number, range(1, 9)))
assert len(set(made)) == 8, made
assert counts(clips) == {"Zo\xeb": {"a b": 8}}
assert sorted(clip.stored.bytes for clip in recorded(clips, "Zo\xeb", "a b")) == list(range(1, 9))
find(clips, "Zo\xeb", "a b", made[0]).stored.location.delete()
assert set(read_manifest(clips)["subject"].to_pylist()) == {"Zo\xeb"}
print(len(read_manifest(clips)))
"""


def test_who_records_on_s3_at_once_gets_a_number_each(s3: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RECORD], env=os.environ | s3, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "7\n", done.stderr
