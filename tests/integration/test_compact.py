"""If these fail, merging small files over a cluster, or in object storage, costs clips or makes some twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sigflow.data.clips import load_clips
from sigflow.pipelines.commit import commit_block
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from tests.integration.conftest import ROOT, Cluster

PARTS = ("left_hand", "right_hand")

_ON_S3 = """
import json, os, signal, sys
import pyarrow as pa
from sigflow.pipelines.commit import commit_block, read_state
from sigflow.pipelines.compact import merge, plan
from sigflow.schema import landmark_schema
from sigflow.storage import Location, locate

at, data = int(sys.argv[1]), locate("s3://bucket/small")
schema, place = landmark_schema(()), data / "landmarks"
if not place.files():
    for name in "abcdef":
        row = dict.fromkeys(schema.names) | {"clip_id": name, "num_frames": 1, "time_ms": [0.0]}
        commit_block(data, [name], [pa.Table.from_pylist([row], schema=schema)], [])
done = 0
def counted(real):
    def act(self, *words):
        global done
        real(self, *words)
        done += 1
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)
    return act
for name in ("write_bytes", "delete"):
    setattr(Location, name, counted(getattr(Location, name)))
if at >= 0:
    place.tidy()
    for group in plan(place.listing(".parquet"), 1 << 20):
        merge(place, group)
print(json.dumps([sorted(read_state(data)["clip_id"].to_pylist()), len(place.listing())]))
"""


@pytest.fixture
def scattered(gesture_landmarks: Location, tmp_path: Path) -> Location:
    """60 clips in files of four."""
    table = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    for start in range(0, len(table), 4):
        rows = table.slice(start, 4)
        commit_block(locate(tmp_path), rows["clip_id"].to_pylist(), [rows], [])
    return locate(tmp_path)


def test_the_job_merges_over_the_cluster_and_says_what_it_did(cluster: Cluster, scattered: Location) -> None:
    before = load_clips(scattered, PARTS).fingerprint
    answer = cluster.job("compact", "--data", scattered.uri)
    assert (answer["files_before"], answer["files"]) == (15, 1)
    assert answer["mb"] < answer["mb_before"]
    assert load_clips(scattered, PARTS).fingerprint == before
    assert cluster.job("compact", "--data", scattered.uri)["files_before"] == 1


@pytest.mark.slow
def test_killed_in_object_storage_no_clip_is_lost_or_there_twice(s3: dict[str, str]) -> None:
    def run(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _ON_S3, str(at)],
            env=os.environ | s3, cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    for at in (1, 2, 3, 2):  # the note; the new file; one deleted; what was left by then
        assert run(at).returncode == -signal.SIGKILL
        looked = run(-1)
        assert json.loads(looked.stdout)[0] == list("abcdef"), (at, looked.stderr)
    assert json.loads(run(0).stdout) == [list("abcdef"), 1]
