"""If these fail, a job that runs on a laptop does not run on another cluster, or waits there and nobody sees why."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigflow.storage import Location
from tests.integration.conftest import ROOT, Cluster

FORCED = ("--force", "small_test_fold,too_many_parameters,lonely_test_class,few_clips")
SMALL = ("--set", "train.epochs=2", "--set", "model.hidden=[8]", "--set", "model.dense=8", "--folds", "2", *FORCED)
ELSEWHERE = {"extract": "test_pipeline.py", "demo": "it is the others, one after the other", "learn": "the page's"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_jobs_run_when_they_are_submitted(cluster: Cluster, gesture_landmarks: Location, tmp_path: Path) -> None:
    """With the code as all that they bring; and a path that would be lost with the code's copy is refused."""
    submitted: set[str] = set()

    def submit(name: str, *words: object) -> dict[str, Any]:
        submitted.add(name)
        command = ("ray", "job", "submit", "--address", cluster.dashboard, "--runtime-env", "cluster/code.yaml", "--")
        done = cluster.run(*command, "python", f"jobs/{name}.py", *map(str, words))
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(
            next(line for line in reversed(done.stdout.splitlines()) if line[:1] == "{")
        )
        return answer

    data, run, bundle, registry = gesture_landmarks, tmp_path / "runs/a", tmp_path / "bundle", tmp_path / "registry"
    recipe = ("--recipe", "isolated_gestures", "--data", data)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((4, 9, 1662)), y=["a", "b"] * 2)
    assert submit("ingest", "--format", "npz", "--source", tmp_path / "x.npz", "--out", tmp_path / "in")["clips"] == 4
    assert submit("train", *recipe, "--out", run, *SMALL)["run"] == str(run)
    with ThreadPoolExecutor(2) as both:
        searched = both.submit(submit, "tune", *recipe, "--out", tmp_path / "tuned", "--trials", "1", *SMALL)
        assert submit("ensemble", "--runs", run, "--out", bundle, "--precisions", "fp32")["bundle"] == str(bundle)
        assert searched.result()["trials"] == 1
    scored = ("--bundle", bundle, "--data", data, "--out")
    assert submit("evaluate", *scored, tmp_path / "scores")
    assert submit("replay", *scored, tmp_path / "replayed")
    assert submit("bundle", "push", "--bundle", bundle, "--registry", registry)["written"]
    assert [row["run"] for row in submit("runs", "--runs", run.parent)["runs"]] == ["a"]
    assert "findings" in submit("audit", *recipe, "--folds", "2", "--set", "model.hidden=[2]", "--set", "model.dense=2")
    parts = ("--parts", "left_hand,right_hand", "--count", "5")
    assert submit("compose", "--data", data, "--out", tmp_path / "sentences", *parts)
    assert submit("compact", "--data", tmp_path / "sentences")
    assert submit("cost", "--clips", "1000", "--cpus", "2")["files"] == 16
    seen = submit("status", "--out", run, tmp_path / "tuned", bundle, "--cluster")
    assert [folder["kind"] for folder in seen["folders"]] == ["run", "search", "bundle"]
    assert all(folder["finished"] for folder in seen["folders"][:2])
    assert seen["cluster"]["nodes"]["alive"] >= 1
    known = {file.stem for file in (ROOT / "jobs").glob("*.py")}
    assert submitted >= known - ELSEWHERE.keys(), "a job that nobody has submitted"
    relative = cluster.run(
        "ray", "job", "submit", "--address", cluster.dashboard, "--runtime-env", "cluster/code.yaml", "--",
        "python", "jobs/status.py", "--out", "runs",
    )  # fmt: skip
    assert relative.returncode != 0
    assert "use an absolute path or s3://" in relative.stdout


ASKS_TOO_MUCH = """
import ray
ray.init(log_to_driver=False)
@ray.remote(num_cpus=99, num_gpus=1)
def never(): ...
waiting = never.remote()
print("asked", flush=True)
input()
"""


def test_the_clusters_status_shows_what_can_never_be_placed(cluster: Cluster, tmp_path: Path) -> None:
    """A job that waits for ever for what no node has looks like one that works, unless this says so."""
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKS_TOO_MUCH], env=cluster.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"asked\n"
        end = time.monotonic() + 30
        seen: dict[str, Any] = {}
        while not seen.get("waiting") and time.monotonic() < end:  # nodes tell of what waits about once a second
            seen = cluster.job("status", "--cluster")["cluster"]
    finally:
        asking.communicate(b"\n")
    assert {"resources": {"CPU": 99.0, "GPU": 1.0}, "count": 1, "fits": False, "can_come": False} in seen["waiting"]
    assert seen["resources"]["CPU"]["total"] == 4
    assert len(seen["jobs"]) == 1
