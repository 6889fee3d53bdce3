"""A client of streams."""

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from serve.hosting.shelf import Shelf
from sigflow.predictor import ClipInput

STREAM = "/v1/models/gestures/stream"
FPS = 25
Message = dict[str, Any]
Serve = Callable[[Shelf], str]
"""Serves a shelf on loopback until the module's tests are over; gives the address."""


def frames_of(clips: Sequence[ClipInput], *, rest_s: float = 1.0, from_s: float = 0.0) -> list[Message]:
    """The clips with rests around each, as a client would send them frame by frame."""
    rest: list[Message] = [{}] * int(rest_s * FPS)
    seen = list(rest)
    for clip in clips:
        for number in range(len(clip.time_s)):
            parts = {part: points[number] for part, points in clip.parts.items()}
            seen.append({part: None if np.isnan(it).any() else it.tolist() for part, it in parts.items()})
        seen += rest
    return [{"time_ms": 1000 * (from_s + n / FPS), "landmarks": parts} for n, parts in enumerate(seen)]


def arrow_of(frames: Sequence[Message]) -> bytes:
    cells = [frame["landmarks"].get("right_hand") for frame in frames]
    flat = [None if cell is None else np.ravel(cell).tolist() for cell in cells]
    columns = {
        "right_hand": pa.array([flat], pa.list_(pa.list_(pa.float32(), 63))),
        "time_ms": pa.array([[frame["time_ms"] for frame in frames]], pa.list_(pa.float64())),
        "aspect": pa.array([4 / 3], pa.float64()),
    }
    table, stream = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


async def rest_of(client: ClientConnection) -> tuple[list[Message], int | None]:
    """What the server still says, and its close code."""
    told = []
    try:
        while True:
            told.append(json.loads(await client.recv()))
    except ConnectionClosed:
        return told, client.close_code


def talk(uri: str, messages: Sequence[str | bytes]) -> tuple[list[Message], int | None]:
    """Sends all; what is told, and the close code."""

    async def main() -> tuple[list[Message], int | None]:
        async with connect(uri, max_size=None) as client:

            async def send() -> None:
                for message in messages:
                    await client.send(message)

            sending = asyncio.create_task(send())
            told = await rest_of(client)
            await asyncio.gather(sending, return_exceptions=True)
            return told

    return asyncio.run(main())


def texts(frames: Sequence[Message], size: int = 20) -> list[str]:
    blocks = [json.dumps({"frames": list(frames[at : at + size])}) for at in range(0, len(frames), size)]
    return [*blocks, json.dumps({"type": "end"})]


def labels_of(told: Sequence[Message]) -> list[str]:
    return [message["label"] for message in told if message["type"] == "event"]


async def opened(uri: str) -> ClientConnection:
    """A stream that its server is ready for."""
    client = await connect(uri)
    assert json.loads(await client.recv())["type"] == "ready"
    return client
