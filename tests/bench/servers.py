"""Servers and clusters to be measured: started, watched, ended."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

DIRECT = 30000  # where Ray's first replica listens
_FAST = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
MODES: dict[str, dict[str, str]] = {
    "serve": {},
    "optimized": {**_FAST, "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"},
    "direct": {**_FAST, "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1"},
    "haproxy": {**_FAST, "RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_HAPROXY_NBTHREAD": "1"},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(command: list[str], port: int, **environment: str) -> Iterator[tuple[psutil.Process, float]]:
    """It runs and is ready; with the seconds that this took."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                break
            if process.poll() is not None or time.perf_counter() - begun > 120:
                raise RuntimeError(f"{' '.join(command)} does not answer")
            time.sleep(0.05)
        yield psutil.Process(process.pid), time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()


def cpu_s(process: psutil.Process) -> float:
    """Of the process and all below it."""
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with suppress(psutil.Error):
            times = each.cpu_times()
            total += times.user + times.system
    return total


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A running cluster of this machine alone; the environment that names it."""
    port, programs = free_port(), Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.edge.middlewares",
    }  # fmt: skip
    command: list[str | Path] = [
        programs / "ray", "start", "--head", "--block", "--node-ip-address", "127.0.0.1", "--port", str(port),
        "--dashboard-host", "127.0.0.1", "--dashboard-port", str(free_port()), "--dashboard-agent-listen-port", "0",
    ]  # fmt: skip
    quiet = subprocess.DEVNULL
    head = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=quiet, stderr=quiet, start_new_session=True
    )
    environment["RAY_ADDRESS"] = f"127.0.0.1:{port}"
    try:
        joined = [sys.executable, "-c", "import ray; ray.init(log_to_driver=False)"]
        while subprocess.run(joined, env={**os.environ, **environment}, stdout=quiet, stderr=quiet).returncode:
            if head.poll() is not None:
                raise RuntimeError("no cluster starts")
        yield environment
    finally:
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
