"""What WebSockets of streams share: their places in a replica, their errors and close codes, their last words."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from http import HTTPStatus

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from serve.hosting.shelf import Model, Shelf
from serve.problems import Problem, ProblemError
from serve.protocols.native import Name, Version
from serve.protocols.session import Session, SlowClientError, StreamQuery
from serve.protocols.source import Source
from serve.schemas import StreamError, StreamTold, query
from serve.settings import Limits

_CODES = {
    400: 1007, 413: 1009, 415: 1007, 422: 1007, 404: 1008, 409: 1008, 501: 1008, 503: 1013, 504: 1013,
}  # fmt: skip
_LAST_WORDS_S = 2.0  # for a client that may not be reading

Opener = Callable[[WebSocket, Model, Limits], AbstractAsyncContextManager[Source]]


class Streams:
    """Those of one kind in a replica, as many as `most` says of the limits of the time.

    Args:
        opener: of a session's frames, for as long as it lasts.
    """

    def __init__(self, shelf: Shelf, most: Callable[[Limits], int], opener: Opener) -> None:
        self._shelf, self._most, self._opener = shelf, most, opener
        self._running: set[WebSocket] = set()

    def routes(self, path: str) -> APIRouter:
        """The WebSocket, of a model and of one of its versions."""
        routes = APIRouter(tags=["stream"])

        @routes.websocket(f"/v1/models/{{name}}/{path}")
        async def of_model(socket: WebSocket, name: Name) -> None:
            await self._serve(socket, name, None)

        @routes.websocket(f"/v1/models/{{name}}/versions/{{version}}/{path}")
        async def of_version(socket: WebSocket, name: Name, version: Version) -> None:
            await self._serve(socket, name, version)

        return routes

    async def _serve(self, socket: WebSocket, name: str, version: str | None) -> None:
        await socket.accept()
        if len(self._running) >= (most := self._most(self._shelf.limits)):
            busy = ProblemError(503, f"server busy: {most} streams are open; try again later, or add replicas")
            await _refuse(socket, busy, 1013)
            return
        self._running.add(socket)
        try:
            await self._talk(socket, name, version)
        finally:
            self._running.remove(socket)

    async def _talk(self, socket: WebSocket, name: str, version: str | None) -> None:
        shelf = self._shelf
        try:
            model, wanted = await shelf.fetch(name, version), query(socket.query_params, StreamQuery)
        except ProblemError as error:
            await _refuse(socket, error, 1008)
            return
        session = None
        try:
            async with self._opener(socket, model, shelf.limits) as source:
                session = Session(socket, model, wanted, shelf.limits, source)
                await session.run()
            await socket.close()
        except WebSocketDisconnect:
            return
        except SlowClientError:
            problem = ProblemError(503, "what was told was not read; read faster, or ask for no probabilities")
            await _refuse(socket, problem, 1013)
        except ProblemError as error:
            await _refuse(socket, error, _CODES.get(error.status, 1011), session.unsent if session else [])
        except Exception:
            logging.getLogger(__name__).exception("a stream ended")
            await _refuse(socket, ProblemError(500, "an error of the server's own; its log has more"), 1011)


async def _refuse(socket: WebSocket, error: ProblemError, code: int, unsent: list[StreamTold] | None = None) -> None:
    """Say what was still to be said, then why this ends, and close; never wait long for the client."""
    problem = Problem(title=HTTPStatus(error.status).phrase, status=error.status, detail=error.detail)
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(_LAST_WORDS_S):
            for message in [*(unsent or ()), StreamError(problem=problem)]:
                await socket.send_text(message.model_dump_json(exclude_none=True))
            await socket.close(code)
