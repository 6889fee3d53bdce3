"""Live recognition of a camera over a WebSocket: /v1/models/{name}/streamVideo.

The client sends pictures (`serve.bodies.frames.of_picture`), whose landmarks are told and recognised as those of
`stream` are. The replica decodes nothing: each connection has a process of its own (`sigflow.landmarks.isolation`),
which a hostile picture may crash, hang or fill. While it is busy the newest picture waits, and older ones are dropped.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Literal

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, WebSocket

from serve.bodies.arrow import table_rows
from serve.bodies.frames import Block, Picture, of_picture, of_text
from serve.hosting.shelf import Model, Shelf
from serve.problems import RETRY_AFTER, BadInputError, ProblemError
from serve.protocols.sockets import Streams
from serve.protocols.source import Heard, hear
from serve.protocols.video import extractor_options
from serve.schemas import LandmarksTold
from serve.settings import Limits
from sigflow.errors import UserError
from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import IsolatedCamera, Kind
from sigflow.landmarks.isolation import Limits as Cost
from sigflow.landmarks.video import Bounds
from sigflow.spotting import stream_of

Look = Callable[[bytes, float, bool], Awaitable[tuple[Kind, pa.Table] | None]]
_DIGITS = 4  # of a coordinate that is told: a hundredth of a pixel


def live_routes(shelf: Shelf) -> APIRouter:
    """The WebSocket, of a model and of one of its versions."""
    return Streams(shelf, lambda limits: max(limits.live_streams, 1), _pictures).routes("streamVideo")


class Pictures:
    """A `source.Source`: of the pictures that come, each the newest when the one before it is done."""

    def __init__(self, socket: WebSocket, model: Model, limits: Limits, options: DetectorOptions, look: Look) -> None:
        self._socket, self._shapes, self._limits = socket, model.predictor.shapes, limits
        self._options, self._look = options, look
        self._max_gap_s = stream_of(model.manifest).max_gap_s
        self._newest: tuple[Picture, float] | None = None  # and when it came
        self._over = False
        self._changed = asyncio.Event()
        self._before_s: float | None = None
        self._told: LandmarksTold | None = None
        self.reason: Literal["end", "idle"] = "end"
        self.dropped, self.most_frames = 0, 1

    async def watch(self) -> None:
        """Read what the client sends, at once.

        Raises:
            ProblemError: what it sends is wrong.
        """
        while not self._over:
            try:
                message = await hear(self._socket, self._limits.stream_idle_s)
            except TimeoutError:
                self.reason, self._over = "idle", True
            else:
                if isinstance(message, bytes):
                    self.dropped += self._newest is not None
                    self._newest = of_picture(message, self._limits), time.monotonic()
                elif of_text(message, self._shapes, self._limits) is None:
                    self._over = True
                else:
                    raise BadInputError("send pictures as bytes, or type 'end'; landmarks are for /stream")
            self._changed.set()
            await asyncio.sleep(0)  # a client that sends without a pause is not to keep others from their turn

    async def next(self) -> Heard | None:
        """See `source.Source`."""
        while self._newest is None:
            if self._over:
                return None
            self._changed.clear()
            await self._changed.wait()
        (picture, came), self._newest = self._newest, None
        if (row := await self._row(picture)) is None:
            assert self._told is not None  # the first picture is always looked at
            return Heard([], [self._told.model_copy(update={"time_s": picture.time_s, "ms": _since_ms(came)})])
        (frame,) = table_rows(row, self._shapes, self._limits)
        self._told = LandmarksTold(
            time_s=picture.time_s, aspect=frame.aspect, ms=_since_ms(came),
            parts={part: self._points(row, part) for part in self._options.parts},
        )  # fmt: skip
        return Heard([Block(np.array([picture.time_s]), frame.parts, frame.aspect)], [self._told])

    async def _row(self, picture: Picture) -> pa.Table | None:
        """Its landmarks; None: it is left out, as a stream leaves out a frame at the time of the one before it.

        Raises:
            ProblemError: 422, it is no picture, or ends whatever looks at it; 413, it takes too much memory; 504, it
                takes too long.
        """
        before_s, self._before_s = self._before_s, picture.time_s
        if picture.time_s == before_s:
            return None
        follows = before_s is not None and 0 < picture.time_s - before_s <= self._max_gap_s
        if (found := await self._look(picture.jpeg, picture.time_s, not follows)) is None:
            return None
        kind, row = found
        if kind == "clip":
            return row
        (failed,) = row.select(["stage", "error"]).to_pylist()
        raise _problem(failed["stage"], failed["error"], self._limits)

    def _points(self, row: pa.Table, part: str) -> list[list[float]] | None:
        """Where they are in the picture as it was sent."""
        (frame,) = row[part][0].as_py()
        if frame is None:
            return None
        points_P2 = np.reshape(frame, (-1, 3))[:, :2]
        if self._options.mirrored:
            points_P2 = points_P2 * [-1, 1] + [1, 0]
        points: list[list[float]] = points_P2.round(_DIGITS).tolist()
        return points


@asynccontextmanager
async def _pictures(socket: WebSocket, model: Model, limits: Limits) -> AsyncIterator[Pictures]:
    """Those of a connection; its process starts before and ends with it.

    Raises:
        ProblemError: 409, no such landmarks can be made here; 501, no cameras are watched; 503, no process starts.
    """
    if not limits.live_streams:
        raise ProblemError(501, "this server watches no cameras; send landmarks to /stream")
    options, stopped = extractor_options(model), threading.Event()
    thread = ThreadPoolExecutor(1, thread_name_prefix="camera")
    starting = thread.submit(_start, options, limits, stopped)
    try:
        try:
            async with asyncio.timeout(limits.video_deadline_s):
                camera = await asyncio.wrap_future(starting)
        except (RuntimeError, UserError, TimeoutError) as error:
            raise ProblemError(503, "what looks at pictures does not start; try again", RETRY_AFTER) from error
        loop = asyncio.get_running_loop()

        async def look(jpeg: bytes, time_s: float, anew: bool) -> tuple[Kind, pa.Table] | None:
            return await loop.run_in_executor(thread, camera.look, jpeg, time_s, anew)

        yield Pictures(socket, model, limits, options, look)
    finally:
        stopped.set()
        await asyncio.wrap_future(thread.submit(_end, starting))
        thread.shutdown(wait=False)


def _start(options: DetectorOptions, limits: Limits, stopped: threading.Event) -> IsolatedCamera:
    bounds = Bounds(pixels=limits.video_pixels)
    cost = Cost(seconds=limits.deadline_s, memory_mb=limits.video_memory_mb, bounds=bounds)
    return IsolatedCamera(options, {name: model_path(name) for name in options.models}, cost, stopped.is_set)


def _end(started: Future[IsolatedCamera]) -> None:
    with suppress(RuntimeError, UserError, CancelledError):
        started.result().close()


def _problem(stage: str, error: str, limits: Limits) -> ProblemError:
    match stage:
        case "decode" | "size":
            return BadInputError(f"the picture cannot be read: {error}")
        case "memory_limit":
            return ProblemError(413, f"looking at this picture {error}; send smaller ones")
        case "time_limit":
            return ProblemError(504, f"no landmarks within {limits.deadline_s:g} s; send smaller pictures, or later")
        case "crash":
            return BadInputError("this picture ended the process that looks at it")
    return BadInputError("the detector fails on this picture")


def _since_ms(came: float) -> float:
    return round(1000 * (time.monotonic() - came), 1)
