"""If these fail, one request can end the server, take all of its memory, or make it err where the client did.

A server in a process of its own, without Ray, over HTTP; its memory as the kernel counts it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.conftest import ROOT, answers, free_port, wait_for
from tests.serve.hostile import BOMBS, MIB, MODEL, ODD, PATH, Hostile, clip
from tests.serve.test_api import problem

# What a body within its limit may take: 8 MiB of JSON are up to 200 MiB of lists, 32 MiB of bytes 128 MiB of float32.
MOST_BYTES = 400 * MIB
QUERY = {"application/x-npy": "?fps=30"}


class Server:
    """Where it is, and how much memory it has."""

    def __init__(self, client: httpx.Client, process: int) -> None:
        self.client = client
        self._process = psutil.Process(process)
        self._folder = Path(f"/proc/{process}")

    def growth(self, hostile: Hostile) -> tuple[httpx.Response, int]:
        """The answer, and by how many bytes the process grew at its peak."""
        body = hostile.body()
        (self._folder / "clear_refs").write_text("5")  # the peak begins anew
        before = self.resident()
        headers = {"content-type": hostile.media_type, **hostile.headers}
        answer = self.client.post(PATH + QUERY.get(hostile.media_type, ""), content=body, headers=headers)
        (peak,) = (line for line in (self._folder / "status").read_text().splitlines() if line.startswith("VmHWM"))
        return answer, int(peak.split()[1]) * 1024 - before

    def resident(self) -> int:
        """Bytes of memory now."""
        size: int = self._process.memory_info().rss
        return size

    def lives(self) -> None:
        """It answers a good request well."""
        answer = self.client.post(PATH, content=clip(), headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == MODEL


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "tests.serve.standalone", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=240)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield Server(client, process.pid)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("hostile", BOMBS, ids=lambda it: it.name)
def test_a_bomb_is_refused_in_bounded_memory(server: Server, hostile: Hostile) -> None:
    answer, grown = server.growth(hostile)
    problem(answer, answer.status_code)
    assert answer.status_code in hostile.statuses, answer.text
    assert len(answer.content) < 2000, "the answer repeats the bomb"
    print(f"{hostile.name}: {grown / MIB:.0f} MiB, {answer.elapsed.total_seconds():.2f} s")
    assert grown < MOST_BYTES
    server.lives()


@pytest.mark.parametrize("hostile", ODD, ids=lambda it: it.name)
def test_an_odd_body_is_the_clients_mistake(server: Server, hostile: Hostile) -> None:
    answer, _ = server.growth(hostile)
    assert answer.status_code in hostile.statuses, answer.text
    if answer.status_code != 200:
        problem(answer, answer.status_code)
    server.lives()


def test_after_all_of_that_the_server_is_as_large_as_before(server: Server) -> None:
    server.lives()
    sizes = []
    for _ in range(3):
        for hostile in ODD:
            server.growth(hostile)
        sizes.append(server.resident())
    assert sizes[-1] - sizes[0] < 8 * MIB, sizes
