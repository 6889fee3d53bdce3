"""Stages go where they belong on nodes with and without (logical) GPUs; what can never run is refused at once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sigflow.storage import Location
from tests.integration.conftest import ROOT, Cluster, start_node, wait_for

QUICK = ("--set", "train.epochs=1", "--set", "model.hidden=[8]", "--set", "model.dense=8", "--folds", "5")
FORCED = ("--force", "small_test_fold,too_many_parameters,lonely_test_class")


def stop(node: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(node.pid, signal.SIGKILL)
    node.wait()


@pytest.fixture
def gpu_node(cluster: Cluster) -> Iterator[None]:
    """A machine with two GPUs, as far as Ray knows."""
    node = start_node(cluster, cpus=4, gpus=2)
    yield
    stop(node)


def words(data: Location, out: Path, *more: str) -> list[str | Path]:
    recipe = ("--recipe", "isolated_gestures", "--data", data.uri, "--out", out)
    return [sys.executable, ROOT / "jobs/train.py", *recipe, *QUICK, *FORCED, *more]


def test_more_workers_than_can_ever_run_are_refused_at_once(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    done = cluster.run(*words(gesture_landmarks, tmp_path / "run", "--workers", "9"))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "--workers 9 needs 9 x CPU 1, and this cluster has place for 4" in last
    assert "ask for at most 4" in last
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_extraction_keeps_off_a_machine_whose_gpus_are_used(
    cluster: Cluster, gpu_node: None, sample_videos: Path, tmp_path: Path
) -> None:
    done = cluster.run(sys.executable, "-m", "tests.integration.placed", sample_videos, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said == {"clips": 24, "elsewhere": 1, "beside_gpus": 0, "gpu_workers": 2}, "training takes the GPUs"


@pytest.mark.slow
def test_more_gpus_than_there_are_are_refused(
    cluster: Cluster, gpu_node: None, gesture_landmarks: Location, tmp_path: Path
) -> None:
    done = cluster.run(*words(gesture_landmarks, tmp_path / "run", "--workers", "3"))
    assert done.returncode == 2
    assert "--workers 3 needs 3 x GPU 1, and this cluster has place for 2" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_what_an_autoscaler_could_bring_is_waited_for(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    types = json.dumps([{"name": "cpu", "count": 2, "resources": {"CPU": 4}}])
    log = tmp_path / "log"
    with log.open("wb") as output:
        driver = subprocess.Popen(
            [str(word) for word in words(gesture_landmarks, tmp_path / "run", "--workers", "5")],
            env=cluster.environment | {"SIGFLOW_NODE_TYPES": types}, cwd=ROOT, stdout=output, stderr=output,
        )  # fmt: skip
    demanded = ("import ray; from sigflow.pipelines.census import census; ray.init(log_to_driver=False); "
                "print(sum(it['count'] for it in census()['waiting']))")  # fmt: skip
    try:
        wait_for(lambda: cluster.run(sys.executable, "-c", demanded).stdout.strip() not in ("", "0"), seconds=240)
        assert driver.poll() is None, log.read_text()
        node = start_node(cluster, cpus=4)
        try:
            assert driver.wait(240) == 0, log.read_text()
        finally:
            stop(node)
    finally:
        driver.kill()
