"""Ray Serve beside the bare application: the same bundle behind uvicorn alone, and behind Serve in several modes.

Of each, JSON and Arrow bodies of one clip of 30 frames, with 1, 16 and 64 connections: requests/s, p50, p99, and
milliseconds of CPU a request of all the server's processes. The client takes CPU too, of the same cores, as it does for
all of them. Modes: `serve`, the secure default; `optimized`, with RAY_SERVE_THROUGHPUT_OPTIMIZED=1; `haproxy`, HAProxy
in front as well (it listens on all addresses: keys, or --open); `direct`, a client that knows the replica's own port.
`fastapi` is what one would write by hand, one run of the graph a request; `uvicorn` this application without Ray.
`ready` measures no requests: seconds from `python -m serve` on a running cluster to the first 200 of /readyz.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from sigflow.ensemble import average
from sigflow.export import export
from sigflow.pipelines.bundle import bundle_exported
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.bench.load import post
from tests.bench.servers import DIRECT, MODES, cluster, cpu_s, free_port, server
from tests.conftest import train_run, write_gesture_landmarks

FRAMES, SECONDS, STARTS = 30, 4.0, 3
CONNECTIONS = (1, 16, 64)
PATH = "/v1/models/gestures:predict"


def make_bundle(folder: Path) -> Location:
    """Three LSTMs with their features."""
    data = write_gesture_landmarks(locate(folder) / "data")
    run = train_run(locate(folder) / "run", data, override(find_recipe("isolated_gestures"), ["train.epochs=2"]))
    ensemble = average([run])
    bundle_exported(ensemble, export(ensemble), locate(folder) / "bundle", name="gestures", precisions=())
    return locate(folder) / "bundle"


def requests() -> dict[str, bytes]:
    """The same clip in two bodies."""
    points = np.random.default_rng(0).uniform(0.2, 0.8, (FRAMES, 21, 3)).astype(np.float32)
    rounded = [[[round(float(x), 4) for x in point] for point in frame] for frame in points]
    nested = json.dumps({"landmarks": {"right_hand": rounded}, "fps": 30}).encode()
    table = pa.table(
        {
            "right_hand": pa.array([points.reshape(FRAMES, 63).tolist()], pa.list_(pa.list_(pa.float32(), 63))),
            "time_ms": pa.array([[1000 * n / 30 for n in range(FRAMES)]]),
            "aspect": pa.array([4 / 3]),
        }
    )
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {
        "JSON": post(PATH, nested, "application/json"),
        "Arrow": post(PATH, stream.getvalue(), "application/vnd.apache.arrow.stream"),
    }


def measure(process: psutil.Process, port: int, bodies: Mapping[str, bytes]) -> dict[str, Any]:
    """Of each body and number of connections."""
    found: dict[str, Any] = {}
    for body, request in bodies.items():
        for connections in CONNECTIONS:
            for seconds in (1.0, SECONDS):  # the first warms up
                before = cpu_s(process)
                command = [sys.executable, "-m", "tests.bench.load", str(port), str(connections), str(seconds)]
                done = subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True)
                told = json.loads(done.stdout)
            count = sum(told["statuses"].values())
            found[f"{body} x{connections}"] = {
                "requests_per_s": round(told["requests_per_s"]), "p50_ms": round(told["p50_ms"], 2),
                "p99_ms": round(told["p99_ms"], 2), "cpu_ms": round(1000 * (cpu_s(process) - before) / count, 2),
                **({} if set(told["statuses"]) == {"200"} else {"statuses": told["statuses"]}),
            }  # fmt: skip
    return found


def ready(bundle: str) -> dict[str, Any]:
    """Of several starts, the first of which finds nothing in memory."""
    seconds = []
    with cluster() as environment:
        for _ in range(STARTS):
            port = free_port()
            command = [sys.executable, "-m", "serve", "--bundle", bundle, "--port", str(port)]
            with server(command, port, **environment) as (_, ready_s):
                seconds.append(round(ready_s, 2))
    return {"way": "ready", "seconds": seconds, "median_s": median(seconds)}


def main() -> None:
    """All figures as JSON, a line for each way to serve."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = make_bundle(Path(folder)).uri
        ways: dict[str, tuple[list[str], int, dict[str, str]]] = {}
        for way, module in (("fastapi", "by_hand"), ("uvicorn", "plain")):
            port = free_port()
            ways[way] = [sys.executable, "-m", f"tests.bench.{module}", bundle, str(port)], port, {}
        for mode, environment in MODES.items():
            port = free_port()
            command = [sys.executable, "-m", "serve", "--bundle", bundle, "--port", str(port), "--open"]
            ways[mode] = command, DIRECT if mode == "direct" else port, environment
        for way in sys.argv[1:] or [*ways, "ready"]:
            if way == "ready":
                print(json.dumps(ready(bundle)), flush=True)
                continue
            command, port, environment = ways[way]
            bodies = {body: request for body, request in requests().items() if way != "fastapi" or body == "JSON"}
            with server(command, port, **environment) as (process, ready_s):
                figures = measure(process, port, bodies)
            print(json.dumps({"way": way, "ready_s": round(ready_s, 1), **figures}), flush=True)


if __name__ == "__main__":
    main()
