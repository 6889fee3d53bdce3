"""Where a session's frames come from, whatever it is that the client sends."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from serve.bodies.frames import Block
from serve.schemas import StreamTold


class Heard(NamedTuple):
    """Frames that came, and what is told of them first."""

    blocks: Iterable[Block]
    told: Sequence[StreamTold] = ()


class Source(Protocol):
    """Where a session's frames come from.

    Attributes:
        reason: why no more of them come.
        dropped: frames that were left out.
        most_frames: in a message.
    """

    reason: Literal["end", "idle"]
    dropped: int
    most_frames: int

    async def next(self) -> Heard | None:
        """None: there is no more."""

    async def watch(self) -> None:
        """Runs beside `next`; what it raises ends the session."""


async def hear(socket: WebSocket, idle_s: float) -> str | bytes:
    """The client's next message.

    Raises:
        TimeoutError: none comes. WebSocketDisconnect: it is gone.
    """
    async with asyncio.timeout(idle_s):
        message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    text: str | None = message.get("text")
    if text is not None:
        return text
    body: bytes = message["bytes"]
    return body
