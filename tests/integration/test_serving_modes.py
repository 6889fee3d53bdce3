"""If these fail, Ray's faster ways to serve open a door beside the one that asks for keys."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import httpx
import psutil
import pytest

from serve.access.keys import new_key
from sigflow.bundle import GRAPH, write_bundle
from sigflow.storage import locate
from tests.bench.servers import MODES
from tests.integration.conftest import ROOT, answers, free_port, wait_for
from tests.serve.hostile import PATH, clip
from tests.serve.tiny import tiny_bundle

pytestmark = pytest.mark.slow
OWN_PORTS = range(30000, 31001)  # Ray gives each replica one of these


class Open(NamedTuple):
    """A server with one key, and what its processes listen on: port and addresses."""

    port: int
    secret: str
    listening: dict[int, set[str]]


@pytest.fixture(scope="module", params=["direct", "haproxy"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """In a cluster of its own: the mode is that of its processes."""
    bundle, folder, port = tiny_bundle(), tmp_path_factory.mktemp("mode"), free_port()
    write_bundle(locate(folder / "bundle"), bundle.manifest, {GRAPH: bundle.graph})
    secret, line = new_key("friend")
    (folder / "keys").touch(0o600)
    (folder / "keys").write_text(line)
    words = ["--bundle", folder / "bundle", "--port", port, "--keys", folder / "keys"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | MODES[request.param]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "serve", *map(str, words)], env=environment, stdout=log, stderr=log, cwd=ROOT
        )
    try:
        wait_for(lambda: "serving on" in (folder / "log").read_text() or server.poll() is not None, seconds=200)
        yield Open(port, secret, listening(psutil.Process(server.pid)))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(90)
    assert secret not in (folder / "log").read_text()


def listening(process: psutil.Process) -> dict[int, set[str]]:
    """Of a process and all that it started."""
    found: dict[int, set[str]] = {}
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            for one in each.net_connections("tcp"):
                if one.status == psutil.CONN_LISTEN:
                    found.setdefault(one.laddr.port, set()).add(one.laddr.ip)
    return found


def test_a_replicas_own_port_is_open_to_this_machine_alone_and_asks_for_a_key(opened: Open) -> None:
    own = {port: places for port, places in opened.listening.items() if port in OWN_PORTS}
    assert own, "no replica has a port of its own"
    assert set().union(*own.values()) == {"127.0.0.1"}
    for port in (*own, opened.port):
        ask = f"http://127.0.0.1:{port}{PATH}"
        json = {"content-type": "application/json"}
        assert answers(f"http://127.0.0.1:{port}/readyz")
        assert httpx.post(ask, content=clip(), headers=json).status_code == 401
        assert httpx.post(ask, content=clip(), headers=json | {"x-api-key": opened.secret}).status_code == 200
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", headers={b"x-request-id": b"\xff"}).status_code == 400


def test_where_clients_ask_is_what_they_were_told(opened: Open) -> None:
    assert opened.listening[opened.port] == {"127.0.0.1"}
