"""If these fail, machines that cost by the second do not come when there is work, or stay when there is none.

Machines are raylets here, which Ray's own autoscaler starts and ends. Replicas: `test_serving_chaos.py`.
"""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from sigflow.pipelines.placement import KIND, NODE_TYPES
from tests.integration.chaos.conftest import STORE_MB
from tests.integration.conftest import Cluster, free_port, running_cluster, wait_for
from tests.integration.test_resume import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NODES = 2  # at the most, of one CPU each
GPU_WORKER = {"CPU": 1, "GPU": 1}
NOTHING = (
    "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands",
    "head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files",
)  # fmt: skip
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # Ray's provider cannot be told the address of its nodes
COUNT = """
import time, ray
ray.init(log_to_driver=False)
while True:
    workers = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    print(len(workers), sum("GPU" in each for each in workers), flush=True)
    time.sleep(0.5)
"""


def config(port: int) -> dict[str, Any]:
    """As cluster/aws.yaml: a head that computes nothing, and workers that come when there is work."""
    return {name: [] for name in NOTHING} | {
        "cluster_name": "fake",
        "provider": {
            # By its own name, "fake_multinode", it wants a file that the wheel does not have.
            "type": "external", "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "use_node_id_as_ip": True, "disable_node_updaters": True,
            "disable_launch_config_check": True, "launch_multiple": True, "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"127.0.0.1:{port}",
        },
        "auth": {}, "docker": {}, "file_mounts": {}, "file_mounts_sync_continuously": False,
        "max_workers": 2 * NODES, "upscaling_speed": 1.0, "idle_timeout_minutes": 0.1,
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "cpu_worker": {
                "resources": {"CPU": 1, "object_store_memory": STORE_MB << 20}, "node_config": {},
                "min_workers": 0, "max_workers": NODES, "labels": {KIND: "cpu_worker"},
            },
            "gpu_worker": {
                "resources": {**GPU_WORKER, "object_store_memory": STORE_MB << 20}, "node_config": {},
                "min_workers": 0, "max_workers": NODES, "labels": {KIND: "gpu_worker"},
            },
        },
    }  # fmt: skip


@pytest.fixture
def scaling(tmp_path: Path) -> Iterator[Cluster]:
    port, file = free_port(), tmp_path / "cluster.yaml"
    file.write_text(yaml.safe_dump(config(port)))
    environment = {
        "RAY_FAKE_CLUSTER": "1", "RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    }  # fmt: skip
    with running_cluster(
        tmp_path, "--autoscaling-config", file, cpus=0, store_mb=STORE_MB, port=port, **environment, **LOOPBACK
    ) as started:
        # As `ray up` leaves them on its head.
        kinds = [
            {"name": "cpu_worker", "count": NODES, "resources": {"CPU": 1}},
            {"name": "gpu_worker", "count": NODES, "resources": GPU_WORKER},
        ]
        yield replace(started, environment=started.environment | LOOPBACK | {NODE_TYPES: json.dumps(kinds)})


@contextmanager
def counted(cluster: Cluster) -> Iterator[list[tuple[int, int]]]:
    """How many workers are there, and how many of them with GPUs, twice a second, the last count last."""
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT], env=cluster.environment, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    seen: list[tuple[int, int]] = []

    def read(lines: Iterable[str]) -> None:
        for line in lines:  # Ray says there, too, that nothing can be placed yet
            if match := re.fullmatch(r"(\d+) (\d+)\n", line):
                seen.append((int(match[1]), int(match[2])))

    assert process.stdout is not None
    said = process.stdout
    thread = threading.Thread(target=read, args=(said,))
    thread.start()
    try:
        wait_for(lambda: bool(seen), seconds=60)
        yield seen
    finally:
        process.kill()
        process.wait()
        thread.join()
        said.close()


def test_nodes_come_with_an_extraction_and_go_after_it(scaling: Cluster, sample_videos: Path, tmp_path: Path) -> None:
    """Those without GPUs: there is work for more machines than these can be, and none of it is for a GPU."""
    with counted(scaling) as seen:
        assert seen[-1] == (0, 0)
        began = time.monotonic()
        answer = scaling.job("extract", "--videos", sample_videos, "--out", tmp_path / "out")
        ended = time.monotonic()
        most = max(seen)
        wait_for(lambda: seen[-1] == (0, 0), seconds=120)
    print(f"0 -> {most[0]} nodes, done after {ended - began:.1f} s, 0 nodes {time.monotonic() - ended:.1f} s later")
    assert most == (NODES, 0)
    assert max(gpus for _, gpus in seen) == 0
    assert answer["clips"] == len(rows(tmp_path / "out")) == 24
