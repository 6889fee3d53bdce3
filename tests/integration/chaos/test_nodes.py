"""If these fail, a machine that goes (one day a spot machine does) takes a training, a search or requests with it.

Extraction on a node that is killed: tests/integration/test_resume.py.
"""

import subprocess
import time
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from sigflow.storage import Location, locate
from tests.integration.chaos.conftest import SHORT, Start, at_work, pull_the_plug, wait_until
from tests.integration.conftest import Cluster, free_port, wait_for
from tests.integration.noted import read_notes
from tests.integration.serving import SMALL, Serving, load, of
from tests.integration.test_killed_training import FOLDS, SETTINGS, undisturbed
from tests.integration.test_serving import Version, version

__all__ = ["version"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_a_training_goes_on_with_the_nodes_that_are_left(
    node: subprocess.Popen[bytes], start: Start, gesture_landmarks: Location, said: Path, tmp_path: Path
) -> None:
    """Three folds on three of four CPUs; two of them go, and no other machine comes."""
    out = tmp_path / "run"
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks.uri, "--out", out, "--folds", FOLDS)
    driver = start("train", *words, *sets, noted=True)

    def on_the_node() -> bool:
        return bool({note.process for note in read_notes(out) if note.epoch > 5} & at_work(node, "ray::"))

    wait_until(on_the_node, driver, said)
    pull_the_plug(node)
    killed = time.monotonic()
    assert driver.wait(280) == 0, said.read_text()
    print(f"ended {time.monotonic() - killed:.1f} s after the node")
    for fold in range(FOLDS):
        saved = [note.epoch for note in read_notes(out) if note.fold == fold and note.act == "saved"]
        assert saved == sorted(set(saved))  # no epoch is trained again
    undisturbed(gesture_landmarks, locate(tmp_path / "whole"))
    assert (out / "metrics.json").read_text() == (tmp_path / "whole/metrics.json").read_text()


def test_a_search_loses_no_trial_with_a_node(
    node: subprocess.Popen[bytes], start: Start, gesture_landmarks: Location, said: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("--recipe", "isolated_gestures", "--data", gesture_landmarks.uri, "--out", out, "--folds", "3")
    driver = start("tune", *words, "--trials", "6", "--concurrent", "3", *SHORT)
    wait_until(lambda: bool(list(out.glob("trials/0*.json")) and at_work(node, "ImplicitFunc")), driver, said)
    pull_the_plug(node)
    killed = time.monotonic()
    assert driver.wait(280) == 0, said.read_text()
    print(f"ended {time.monotonic() - killed:.1f} s after the node")
    trials = pq.read_table(out / "trials.parquet")
    assert trials["number"].to_pylist() == list(range(6))
    assert "failed" not in trials["state"].to_pylist()


def test_replicas_of_a_lost_node_take_no_request_with_them(
    small: Cluster, node: subprocess.Popen[bytes], version: Version
) -> None:
    """Clients ask the head's proxy: who asks that of a lost machine is the load balancer's to lead elsewhere."""
    serving = Serving(small, free_port(), proxies="HeadOnly")
    try:
        serving.deploy(of(version("1")), SMALL | {"num_replicas": 2})
        serving.wait_until_running(2)
        there = set(serving.processes()) & at_work(node, "ray::")
        assert there
        with load(serving.url) as seen:
            pull_the_plug(node)
            killed = time.monotonic()
            wait_for(lambda: len(serving.processes()) == 2 and not there & set(serving.processes()), seconds=200)
            mended_s = time.monotonic() - killed
        print(f"two replicas again after {mended_s:.1f} s; {seen.answered.total()} answered, {len(seen.failed)} failed")
        print(f"the longest took {seen.longest_s:.2f} s")
        assert seen.failed == []
        assert httpx.get(f"{serving.url}/readyz").status_code == 200
    finally:
        serving.shutdown()
