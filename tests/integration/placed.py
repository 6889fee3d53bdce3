"""Run by test_placement: extraction while a GPU is held; where its workers were, as JSON."""

import json
import sys
import threading
import time

import ray
from ray.util.state import list_actors

from sigflow.landmarks.detector import DetectorOptions
from sigflow.pipelines.extract import extract
from sigflow.pipelines.job import connect
from sigflow.pipelines.mesh import place
from sigflow.pipelines.placement import reach
from sigflow.storage import locate


class Holder:
    """Of a GPU."""

    def here(self) -> None:
        """It is there."""


def main(videos: str, out: str) -> None:
    connect()
    holder = ray.remote(num_cpus=0, num_gpus=1)(Holder).remote()
    ray.get(holder.here.remote())
    deadline = time.monotonic() + 60
    while reach().idle_gpus:  # Ray tells of what is free a little later
        assert time.monotonic() < deadline
        time.sleep(0.1)
    gpu_nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")}
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            seen.update(
                str(actor.node_id)
                for actor in list_actors(limit=1000)
                if actor.node_id and str(actor.class_name).startswith("MapWorker") and actor.state == "ALIVE"
            )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    answer = extract(locate(videos), locate(out), DetectorOptions())
    ended.set()
    thread.join()
    mesh = place(5, 5, None)
    print(
        json.dumps(
            {"clips": answer["clips"], "beside_gpus": len(seen & gpu_nodes), "elsewhere": len(seen - gpu_nodes),
             "gpu_workers": mesh.workers if mesh.gpus else 0}
        )
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
