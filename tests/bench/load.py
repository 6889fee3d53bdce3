"""Load for a server on loopback: as many connections as asked, each sending its next request when it has its answer.

Spoken by hand over sockets: on the machine that it measures, a client must cost less than the server.
"""

import asyncio
import json
import sys
import time
from typing import NamedTuple

import numpy as np


class Load(NamedTuple):
    """What clients saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]


async def _one(
    host: str, port: int, request: bytes, until: float, times: list[float], statuses: dict[str, int]
) -> None:
    writer = None
    while (begun := time.perf_counter()) < until:
        if writer is None:
            reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            status = head[9:12].decode()
            times.append(time.perf_counter() - begun)
        except (asyncio.IncompleteReadError, OSError):  # the server ended the connection
            status, writer = "closed", None
        statuses[status] = statuses.get(status, 0) + 1
    if writer:
        writer.close()


async def load(host: str, port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Ask for `seconds`."""
    times: list[float] = []
    statuses: dict[str, int] = {}
    begun = time.perf_counter()
    until = begun + seconds
    await asyncio.gather(*(_one(host, port, request, until, times, statuses) for _ in range(connections)))
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    return Load(len(times) / (time.perf_counter() - begun), float(p50), float(p99), statuses)


def post(path: str, body: bytes, media_type: str) -> bytes:
    """The request's bytes."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    found = asyncio.run(load("127.0.0.1", port, sys.stdin.buffer.read(), connections=connections, seconds=seconds))
    print(json.dumps(found._asdict()))
