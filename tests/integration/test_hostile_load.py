"""If these fail, strangers end the service for friends: it errs, fills its memory, or dies under what they send.

The real server behind keys: Ray's proxy, one replica. Good requests and hostile ones, mixed, 32 at a time.
"""

import asyncio
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import psutil
import pytest

from serve.access.keys import new_key
from serve.bodies import ARROW, JSON, NPY
from sigflow.bundle import GRAPH, write_bundle
from sigflow.storage import locate
from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for
from tests.serve.hostile import BOMBS, FRAME, MIB, MODEL, ODD, PATH, arrow, clip, clips, npy
from tests.serve.tiny import tiny_bundle

CONCURRENCY, WARM, ROUNDS, A_ROUND = 32, 1500, 10, 1000
# Of a process's own memory, after warming up; Ray's object store is shared, and has a bound of its own.
MOST_GROWTH = 48 * MIB
# From the rounds of the first half to those of the second: what grows for ever grows there too, by 2 KiB a request.
MOST_SLOPE = 10 * MIB


class Sent(NamedTuple):
    """A request, and the statuses that may answer it."""

    path: str
    statuses: tuple[int, ...]
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  # a tuple's default
    method: str = "POST"


class Running(NamedTuple):
    """A server with one key."""

    url: str
    secret: str


@pytest.fixture(scope="module")
def running(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundle, folder = tiny_bundle(), tmp_path_factory.mktemp("hostile")
    write_bundle(locate(folder / "bundle"), bundle.manifest, {GRAPH: bundle.graph})
    secret, line = new_key("friend")
    keys, port = folder / "keys", free_port()
    keys.write_text(line)
    keys.chmod(0o600)
    command = [sys.executable, "-m", "serve", "--bundle", folder / "bundle", "--port", port, "--keys", keys]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(word) for word in command], env=cluster.environment, stdout=log, stderr=log, cwd=ROOT
        )
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=240)
        yield Running(f"http://127.0.0.1:{port}", secret)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(90)
    assert secret not in (folder / "log").read_text()


@cache
def mixed(secret: str) -> tuple[list[Sent], list[int]]:
    """Requests of all kinds, and how often each is drawn: two of three are good."""
    key = {"authorization": f"Bearer {secret}"}
    good = [
        Sent(PATH, (200,), clip(), key | {"content-type": JSON}),
        Sent(PATH, (200,), clip(fps=None, time_ms=[0, 40, 80], votes=True), key | {"content-type": JSON}),
        Sent(PATH + "?fps=25", (200,), npy(FRAME[None].repeat(40, 0)), key | {"content-type": NPY}),
        Sent(PATH, (200,), arrow(clips(rows=5)), key | {"content-type": ARROW}),
        Sent("/v1/models", (200,), headers=key, method="GET"),
        Sent(f"/v1/models/{MODEL}", (200,), headers={"x-api-key": secret}, method="GET"),
        Sent("/readyz", (200,), method="GET"),
    ]
    strange = [
        Sent(PATH, (401,), clip(), {"content-type": JSON}),
        Sent(PATH, (401,), clip(), {"content-type": JSON, "authorization": "Bearer sf_guess"}),
        Sent("/docs", (401,), method="GET"),
        Sent("/../../etc/passwd", (404,), headers=key, method="GET"),
        Sent("/v1/models/%00%ff%2e%2e:predict", (404,), clip(), key | {"content-type": JSON}),
        Sent("/v1/models", (405,), headers=key, method="DELETE"),
        Sent("/v1/models?" + "x" * 9000, (414,), headers=key, method="GET"),
        Sent("/v1/models", (431,), headers=key | {"x-long": "x" * 40_000}, method="GET"),
        Sent("/v1/models", (400,), headers=key | {"x-request-id": "a b"}, method="GET"),
        Sent(PATH, (404,), clip(), key | {"content-type": JSON, "x-http-method-override": "PUT"})._replace(path="/x"),
    ]
    query = {NPY: "?fps=30"}
    hostile, bombs = (
        [
            Sent(
                PATH + query.get(it.media_type, ""),
                it.statuses,
                body,
                key | {"content-type": it.media_type} | it.headers,
            )
            for it in kind
            if isinstance(body := it.body(), bytes)
        ]
        for kind in (ODD, BOMBS)
    )
    parts = ((good, 6500), (strange, 1500), (hostile, 1900), (bombs, 100))
    return (
        [request for requests, _ in parts for request in requests],
        [share * 1000 // len(requests) for requests, share in parts for _ in requests],
    )


async def ask(running: Running, count: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Statuses, and what was answered otherwise than it should be."""
    requests, shares = mixed(running.secret)
    drawn = iter(random.Random(seed).choices(requests, shares, k=count))
    statuses: Counter[int] = Counter()
    wrong: list[str] = []

    async def one_after_another(client: httpx.AsyncClient) -> None:
        for each in drawn:
            answer = await client.request(each.method, each.path, content=each.body, headers=each.headers)
            statuses[answer.status_code] += 1
            if answer.status_code not in each.statuses:
                wrong.append(f"{each.method} {each.path[:60]} {each.headers.get('content-type')}: {answer.text[:200]}")
            elif answer.status_code >= 400 and answer.headers["content-type"] != "application/problem+json":
                wrong.append(f"{each.method} {each.path[:60]}: {answer.headers['content-type']}")

    limits = httpx.Limits(max_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=running.url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(one_after_another(client) for _ in range(CONCURRENCY)))
    return statuses, wrong


def own_memory(cluster: Cluster, kind: str) -> dict[int, int]:
    """Bytes that the cluster's processes of this kind share with no other, by process."""
    token = cluster.environment["RAY_AUTH_TOKEN_PATH"]  # its own
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("RAY_AUTH_TOKEN_PATH") == token
            if ours and " ".join(process.cmdline()).startswith(f"ray::{kind}"):
                memory = process.memory_info()
                found[process.pid] = memory.rss - memory.shared
    return found


def raw(url: str, request: bytes) -> bytes:
    """The beginning of the answer to these bytes."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        return connection.recv(65536)


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: \xff\xfe",
        b"serve_multiplexed_model_id: \xff",
        b"x-session-id: \xff",
        b"X-Request-Id: a b",
        b"X-\xff: 1",
        b"Authorization: Bearer \xff",
        b"Content-Type: \xff",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3",
        b"x-request-timeout-seconds: nan",
    ],
)
def test_a_header_that_is_no_text_is_the_clients_mistake(running: Running, line: bytes) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % (PATH.encode(), running.secret.encode())
    status = int(raw(running.url, head + line + b"\r\n\r\n").split()[1])
    assert 400 <= status < 500
    assert answers(f"{running.url}/readyz")


def test_a_stream_without_a_key_is_refused_before_it_opens(running: Running) -> None:
    """Ray's proxy lets the refusal through as the HTTP answer that it is."""
    head = (
        b"GET /v1/models/%s/stream HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % MODEL.encode()
    )
    assert raw(running.url, head).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("extra", [{"host": "0.0.0.0"}, {"RAY_SERVE_ENABLE_HA_PROXY": "1"}], ids=["host", "haproxy"])
def test_a_server_for_all_without_keys_says_what_it_needs_and_does_not_start(
    cluster: Cluster, running: Running, tmp_path: Path, extra: dict[str, str]
) -> None:
    bundle = tiny_bundle()
    write_bundle(locate(tmp_path / "bundle"), bundle.manifest, {GRAPH: bundle.graph})
    host = extra.get("host", "127.0.0.1")
    command = (sys.executable, "-m", "serve", "--bundle", tmp_path / "bundle", "--host", host)
    environment = cluster.environment | extra
    done = subprocess.run([str(word) for word in command], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--keys FILE" in done.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_good_and_hostile_requests_leave_the_server_as_it_was(running: Running, cluster: Cluster) -> None:
    asyncio.run(ask(running, WARM, seed=1))
    kinds = ("ServeReplica:sigflow", "ProxyActor")
    before = {kind: own_memory(cluster, kind) for kind in kinds}
    sizes: dict[str, list[int]] = {kind: list(before[kind].values()) for kind in kinds}
    statuses: Counter[int] = Counter()
    for number in range(ROUNDS):
        answered, wrong = asyncio.run(ask(running, A_ROUND, seed=2 + number))
        assert not wrong, f"{len(wrong)}, among them {wrong[:5]}"
        statuses += answered
        for kind in kinds:
            after = own_memory(cluster, kind)
            assert before[kind].keys() == after.keys(), f"{kind} died and was replaced"
            sizes[kind] += after.values()
    print(dict(sorted(statuses.items())))
    for kind in kinds:
        print(kind, *(f"{size / MIB:.0f}" for size in sizes[kind]), "MiB")
    assert sum(statuses.values()) == ROUNDS * A_ROUND
    assert not [status for status in statuses if status >= 500]
    for first, *rounds in sizes.values():
        assert max(rounds) - first < MOST_GROWTH
        assert median(rounds[ROUNDS // 2 :]) - median(rounds[: ROUNDS // 2]) < MOST_SLOPE
