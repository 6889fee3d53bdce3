"""Streaming recognition over a WebSocket: /v1/models/{name}/stream.

The client sends frames (`serve.bodies.frames`), the server tells events (`serve.schemas`): `ready` first, then
`event`, `reset`, on request `probabilities`, and `closing` after the client's `{"type": "end"}`. A stream that must end
otherwise gets `error` with a problem, and one of these close codes: 1007 what cannot be read or makes no sense, 1008 no
such model or query, 1009 too large, 1011 the server's own fault, 1013 too many streams, or a client that does not read.
"""

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from serve.hosting.shelf import Shelf
from serve.problems import Problem, ProblemError
from serve.protocols.native import Name, Version
from serve.protocols.session import Session, SlowClientError, StreamQuery
from serve.schemas import StreamError, StreamTold, query

_CODES = {400: 1007, 413: 1009, 415: 1007, 422: 1007, 404: 1008, 503: 1013, 504: 1013}
_LAST_WORDS_S = 2.0  # for a client that may not be reading


def stream_routes(shelf: Shelf) -> APIRouter:
    """The WebSocket, of a model and of one of its versions."""
    routes = APIRouter(tags=["stream"])
    running: set[WebSocket] = set()

    async def stream(socket: WebSocket, name: str, version: str | None) -> None:
        await socket.accept()
        if len(running) >= shelf.limits.streams:
            problem = ProblemError(503, f"{len(running)} streams are open; try again later, or add replicas")
            await _refuse(socket, problem, 1013)
            return
        running.add(socket)
        try:
            await _serve(shelf, socket, name, version)
        finally:
            running.remove(socket)

    @routes.websocket("/v1/models/{name}/stream")
    async def of_model(socket: WebSocket, name: Name) -> None:
        await stream(socket, name, None)

    @routes.websocket("/v1/models/{name}/versions/{version}/stream")
    async def of_version(socket: WebSocket, name: Name, version: Version) -> None:
        await stream(socket, name, version)

    return routes


async def _serve(shelf: Shelf, socket: WebSocket, name: str, version: str | None) -> None:
    try:
        model, wanted = await shelf.fetch(name, version), query(socket.query_params, StreamQuery)
    except ProblemError as error:
        await _refuse(socket, error, 1008)
        return
    session = Session(socket, model, wanted, shelf.limits)
    try:
        await session.run()
        await socket.close()
    except WebSocketDisconnect:
        return
    except SlowClientError:
        problem = ProblemError(503, "what was told was not read; read faster, or ask for no probabilities")
        await _refuse(socket, problem, 1013)
    except ProblemError as error:
        await _refuse(socket, error, _CODES.get(error.status, 1011), session.unsent)
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
