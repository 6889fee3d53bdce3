"""Streaming recognition over a WebSocket: /v1/models/{name}/stream.

The client sends frames (`serve.bodies.frames`), the server tells events (`serve.schemas`): `ready` first, then
`event`, `reset`, on request `probabilities`, and `closing` after the client's `{"type": "end"}`. A stream that must end
otherwise gets `error` with a problem, and one of these close codes: 1007 what cannot be read or makes no sense, 1008 no
such model or query, 1009 too large, 1011 the server's own fault, 1013 too many streams, or a client that does not read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import APIRouter, WebSocket

from serve.bodies.frames import of_bytes, of_text
from serve.hosting.shelf import Model, Shelf
from serve.protocols.sockets import Streams
from serve.protocols.source import Heard, hear
from serve.settings import Limits


def stream_routes(shelf: Shelf) -> APIRouter:
    """The WebSocket, of a model and of one of its versions."""
    return Streams(shelf, lambda limits: limits.streams, _messages).routes("stream")


class Messages:
    """A `source.Source`: frames of landmarks, each message read when the one before it is dealt with."""

    def __init__(self, socket: WebSocket, model: Model, limits: Limits) -> None:
        self._socket, self._shapes, self._limits = socket, model.predictor.shapes, limits
        self.reason: Literal["end", "idle"] = "end"
        self.dropped, self.most_frames = 0, limits.stream_message_frames

    async def next(self) -> Heard | None:
        """See `source.Source`."""
        try:
            message = await hear(self._socket, self._limits.stream_idle_s)
        except TimeoutError:
            self.reason = "idle"
            return None
        if isinstance(message, bytes):
            return Heard(of_bytes(message, self._shapes, self._limits))
        block = of_text(message, self._shapes, self._limits)
        return None if block is None else Heard([block])

    async def watch(self) -> None:
        """Nothing is done beside `next`."""


@asynccontextmanager
async def _messages(socket: WebSocket, model: Model, limits: Limits) -> AsyncIterator[Messages]:
    yield Messages(socket, model, limits)
