"""One token-protected Ray cluster for all integration tests, and commands run as a user runs them."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Cluster:
    """Where it is, and the environment in which commands reach it."""

    environment: dict[str, str]
    dashboard: str
    folder: Path  # Ray's own: sockets, logs, what was spilled
    client: str  # address of the head's server for ray:// clients

    def run(self, *command: str | Path, cwd: Path | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """A command in this environment, without failing."""
        environment = {**self.environment, **extra}
        return subprocess.run(
            [str(word) for word in command],
            cwd=cwd or ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
        )

    def job(self, name: str, *words: str | Path) -> dict[str, Any]:
        """`python jobs/NAME.py ...`, which must succeed; its JSON line."""
        done = self.run(sys.executable, ROOT / "jobs" / f"{name}.py", *words)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A head on loopback with 4 logical CPUs, whatever the machine has: plans must not depend on it."""
    with running_cluster(tmp_path_factory.mktemp("ray"), cpus=4, store_mb=512) as started:
        yield started


@contextmanager
def running_cluster(
    folder: Path, *words: str | Path, cpus: int, store_mb: int, port: int | None = None, **extra: str
) -> Iterator[Cluster]:
    """A head on loopback, its token and its log in `folder`. `words`: for `ray start`; `extra`: of its environment."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    port, dashboard, client = port or free_port(), free_port(), free_port()
    temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Ray's sockets lie below it; their paths end at 107 bytes
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.edge.middlewares",
        "PYTHONWARNINGS": "default",
    }
    command: list[str | Path] = [
        Path(sys.executable).parent / "ray", "start", "--head", "--block", "--num-cpus", str(cpus),
        "--node-ip-address", "127.0.0.1", "--port", str(port), "--object-store-memory", str(store_mb << 20),
        "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), "--temp-dir", temporary,
        "--dashboard-agent-listen-port", "0",  # its default is taken where another cluster runs: then no job is taken
        "--ray-client-server-port", str(client),
        *words,
    ]  # fmt: skip
    with (folder / "ray.log").open("wb") as log:
        head = subprocess.Popen(command, env=environment | extra, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{dashboard}"
        wait_for(lambda: answers(f"{url}/api/version", token.read_text()), seconds=240)
        environment["RAY_ADDRESS"] = f"127.0.0.1:{port}"
        yield Cluster(environment, url, Path(temporary), f"ray://127.0.0.1:{client}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)  # the whole cluster; asked politely it takes 20 s
        head.wait()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Environment in which s3:// reaches a server of these tests; the bucket is there."""
    port = free_port()
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as output:
        command: list[str | Path] = [
            Path(sys.executable).parent / "moto_server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/moto-api/"), seconds=60)
        address = f"127.0.0.1:{port}"
        system = fs.S3FileSystem(
            access_key="test", secret_key="test", endpoint_override=address, scheme="http", allow_bucket_creation=True
        )
        system.create_dir("bucket")
        yield {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{address}",
        }
    finally:
        server.kill()
        server.wait()


def start_node(cluster: Cluster, *, cpus: int = 2, gpus: int = 0, store_mb: int = 256) -> subprocess.Popen[bytes]:
    """Another machine of the cluster, as far as Ray knows: killing its process group is pulling its plug."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "ray", "start", "--block", "--address", cluster.environment["RAY_ADDRESS"],
        "--node-ip-address", "127.0.0.1", "--num-cpus", str(cpus), "--num-gpus", str(gpus),
        "--object-store-memory", str(store_mb << 20),
        "--dashboard-agent-listen-port", "0",
    ]  # fmt: skip
    node = subprocess.Popen(
        command, env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    expression = "import ray; ray.init(log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"
    wait_for(lambda: cluster.run(sys.executable, "-c", expression).stdout.strip() >= "2", seconds=240)
    return node


def wait_for(ready: Callable[[], bool], *, seconds: float) -> None:
    """Poll until it is so."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "it did not become ready"
        time.sleep(0.3)


def answers(url: str, token: str | None = None) -> bool:
    """Whether a GET gives 200."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
