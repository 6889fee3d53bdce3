"""If these fail, the dashboard of a cluster that works shows nothing."""

import re
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigflow.pipelines.meters import COUNTERS, GAUGES
from sigflow.storage import Location
from tests.integration.conftest import Cluster, free_port, wait_for
from tests.integration.serving import Serving, load, of
from tests.serve.telemetry.dashboard import ON_GPUS, names

FORCED = ("--force", "small_test_fold,too_many_parameters,lonely_test_class")
QUICK = ("--set", "train.epochs=2", "--set", "model.hidden=[8]", "--set", "model.dense=8", "--folds", "2", *FORCED)
NODES = """
import ray
ray.init(log_to_driver=False)
print(*(f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in ray.nodes() if node["Alive"]))
"""


@pytest.fixture
def seen(cluster: Cluster) -> Iterator[set[str]]:
    """Names of metrics with a value that some node has shown since."""
    nodes = cluster.run(sys.executable, "-c", NODES).stdout.split()
    found: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            for node in nodes:
                with urllib.request.urlopen(f"http://{node}/metrics", timeout=10) as answer:
                    found.update(re.findall(r"^([a-z0-9_]+)[{ ]", answer.read().decode(), re.MULTILINE))

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    ended.set()
    thread.join()


@pytest.mark.slow
@pytest.mark.timeout(900)  # an extraction, a training, a search and a deployment, each with Ray's own seconds
def test_every_metric_of_the_dashboard_is_seen_at_a_node(
    cluster: Cluster, sample_videos: Path, gesture_landmarks: Location, exported_bundle: Location, seen: set[str],
    tmp_path: Path,
) -> None:  # fmt: skip
    cluster.job("extract", "--videos", sample_videos, "--out", tmp_path / "landmarks")
    recipe = ("--recipe", "isolated_gestures", "--data", gesture_landmarks.uri, *QUICK)
    cluster.job("train", *recipe, "--out", tmp_path / "run")
    cluster.job("tune", *recipe, "--out", tmp_path / "tuned", "--trials", "2")
    jobs = {f"ray_sigflow_{name}" for name in (*COUNTERS, *GAUGES)}
    assert jobs <= seen, jobs - seen
    serving = Serving(cluster, free_port())
    serving.deploy_by_command(tmp_path / "config.yaml", of(exported_bundle))
    ray_and_jobs = {name for name in names() if not name.startswith("ray_sigflow_")} - ON_GPUS
    try:
        with load(serving.url, clients=1):
            served = {"ray_sigflow_requests_total", "ray_sigflow_request_seconds_bucket", "ray_sigflow_clips_total"}
            wait_for(lambda: served | ray_and_jobs <= seen, seconds=60)
    finally:
        serving.shutdown()
