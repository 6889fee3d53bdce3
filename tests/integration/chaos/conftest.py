"""A cluster whose head is small: what is too much for it needs other nodes, and its object store is soon full."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Cluster, running_cluster, start_node, wait_for

CPUS, STORE_MB = 2, 80  # of each node; Ray wants 75 MB at least
SHORT = ("--set", "model.hidden=[16]", "--set", "model.dense=8", "--set", "train.epochs=30")
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("small"), cpus=CPUS, store_mb=STORE_MB) as started:
        yield started


@pytest.fixture
def node(small: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """A second one, beside the head."""
    started = start_node(small, cpus=CPUS, store_mb=STORE_MB)
    yield started
    pull_the_plug(started)


@pytest.fixture
def start(small: Cluster, said: Path) -> Iterator[Start]:
    """Starts `jobs/NAME.py`; with `noted`, trainings note their epochs. `extra`: of its environment, and workers'."""
    drivers = []

    def start(name: str, *words: object, noted: bool = False, **extra: str) -> subprocess.Popen[bytes]:
        hook = {"worker_process_setup_hook": "tests.integration.noted.install"} if noted else {}
        job = {"runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT), **extra}, **hook}}
        environment = small.environment | extra | {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
        command = [sys.executable, str(ROOT / f"jobs/{name}.py"), *map(str, words)]
        with said.open("ab") as log:
            drivers.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """What the drivers of this test wrote."""
    return tmp_path / "said"


def wait_until(ready: Callable[[], bool], driver: subprocess.Popen[bytes], said: Path) -> None:
    """Poll until it is so, while the driver runs."""

    def is_so() -> bool:
        so = ready()
        assert so or driver.poll() is None, said.read_text()
        return so

    wait_for(is_so, seconds=200)


def pull_the_plug(node: subprocess.Popen[bytes]) -> None:
    """Of a node: none of its processes has time to say goodbye."""
    tell(node, signal.SIGKILL)
    node.wait()


def tell(node: subprocess.Popen[bytes], what: signal.Signals) -> None:
    """All processes of the node."""
    for process in at_work(node):
        with suppress(ProcessLookupError):
            os.kill(process, what)


def at_work(node: subprocess.Popen[bytes], what: str = "") -> set[int]:
    """The node's processes whose command has this in it. They share a session; workers have groups of their own."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            if session == node.pid and what.encode() in (folder / "cmdline").read_bytes().replace(b"\0", b" "):
                found.add(int(folder.name))
    return found
