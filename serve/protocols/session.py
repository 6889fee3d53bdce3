"""One stream of a client: frames in, events out. Three tasks share what is here, which is bounded.

`receive` makes windows of the frames that a `Source` gives, `recognise` asks the model about them, `send` tells the
client. Windows that the model is too slow for are left out, the oldest first, so that events are not late; with
`every_window` the client waits instead.
"""

import asyncio
import time
from collections import deque
from itertools import islice
from typing import Literal

from fastapi import WebSocket
from pydantic import Field

from serve.hosting.answers import prediction
from serve.hosting.shelf import Model
from serve.problems import BadInputError, ProblemError
from serve.protocols.source import Source
from serve.schemas import Closing, EventTold, Probabilities, Ready, StreamReset, StreamTold, Wanted
from serve.settings import Limits
from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.predictor import Answer
from sigflow.spotting import Break, Due, Spotter, Window, stream_of

_MOST_DUE = 16  # windows and breaks that wait to be recognised
_RETRY_S = 0.05


class StreamQuery(Config):
    """How a stream is answered."""

    probabilities: bool = Field(default=False, description="also what each window says")
    every_window: bool = Field(default=False, description="leave out no window: for recordings, sent at any speed")
    told: Literal["begun", "ended"] | None = Field(default=None, description="when events are told; else the bundle's")


class SlowClientError(Exception):
    """The client does not read what it is sent."""


class Session:
    """See the module."""

    def __init__(self, socket: WebSocket, model: Model, query: StreamQuery, limits: Limits, source: Source) -> None:
        self._socket, self._model, self._query, self._limits, self._source = socket, model, query, limits, source
        manifest, stream = model.manifest, stream_of(model.manifest)
        if query.told:
            stream = stream.model_copy(update={"told": query.told})
        self._stream = stream
        self._spotter = Spotter(
            stream, manifest.labels, sentences=manifest.task == "sentences",
            most_frames=int(limits.stream_fps * stream.window_s) + 1,
        )  # fmt: skip
        self._aspect = 4 / 3
        self._due: deque[tuple[float, Due | None]] = deque()  # since when it waits; None: no more will come
        self._unsent: deque[StreamTold | None] = deque()
        self._changed = asyncio.Condition()
        self._windows = self._skipped = self._dropped = 0

    async def run(self) -> None:
        """Until the client ends it, or is idle.

        Raises:
            WebSocketDisconnect: it is gone. SlowClientError: it does not read. ProblemError: what it sends is wrong.
        """
        self._unsent.append(self._ready())
        work = (self._source.watch(), self._receive(), self._recognise(), self._send())
        tasks = [asyncio.create_task(task) for task in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def unsent(self) -> list[StreamTold]:
        """What was still to be told when it ended."""
        return [message for message in self._unsent if message]

    def _ready(self) -> Ready:
        manifest, limits = self._model.manifest, self._limits
        return Ready(
            model=manifest.name, version=manifest.version, task=manifest.task, labels=manifest.labels,
            parts=manifest.parts, stream=self._stream, message_bytes=limits.stream_message_bytes,
            message_frames=self._source.most_frames,
        )  # fmt: skip

    async def _receive(self) -> None:
        while (heard := await self._source.next()) is not None:
            await self._tell(*heard.told)
            for block in heard.blocks:
                self._aspect = block.aspect or self._aspect
                try:
                    for due in self._spotter.push(block.time_s, block.parts, self._aspect):
                        await self._put(due)
                except UserError as error:
                    raise BadInputError(str(error)) from error
            await asyncio.sleep(0)  # a client that sends without a pause is not to keep others from their turn
        for due in self._spotter.end():
            await self._put(due)
        await self._put(None)

    async def _put(self, due: Due | None) -> None:
        async with self._changed:
            if len(self._due) >= _MOST_DUE:
                self._leave_out_oldest()
            await self._changed.wait_for(lambda: len(self._due) < _MOST_DUE)
            self._due.append((time.monotonic(), due))
            self._changed.notify_all()

    async def _next_due(self) -> Due | None:
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._due))
            while time.monotonic() - self._due[0][0] > self._stream.hop_s and self._leave_out_oldest():
                pass
            _, due = self._due.popleft()
            self._changed.notify_all()
            return due

    def _leave_out_oldest(self) -> bool:
        """Where another window comes right after it."""
        first_two = [due for _, due in islice(self._due, 2)]
        if self._query.every_window or [type(due) for due in first_two] != [Window, Window]:
            return False
        self._due.popleft()
        self._skipped += 1
        return True

    async def _recognise(self) -> None:
        while (due := await self._next_due()) is not None:
            answer = None
            if isinstance(due, Window) and due.clip is not None and (answer := await self._answer(due)) is None:
                self._skipped += 1
                continue
            self._windows += isinstance(due, Window)
            told = self._spotter.decide(due, None if answer is None else answer.probs)
            await self._tell(*(EventTold(**event._asdict()) for event in told))
            match due:
                case Break("gap" | "clock" as reason, at_s):
                    await self._tell(StreamReset(reason=reason, at_s=at_s))
                case Window() if self._query.probabilities:
                    await self._tell(self._probabilities(due, answer))
        await self._tell(
            Closing(
                reason=self._source.reason, windows=self._windows, skipped_windows=self._skipped,
                dropped_probabilities=self._dropped, dropped_frames=self._source.dropped,
            ),
            None,
        )  # fmt: skip

    async def _answer(self, window: Window) -> Answer | None:
        """None: the model is too busy, the window is left out."""
        assert window.clip is not None
        while True:
            try:
                async with asyncio.timeout(self._limits.deadline_s):
                    return (await self._model.batcher.answers([window.clip]))[0]
            except (TimeoutError, ProblemError) as error:
                if isinstance(error, ProblemError) and error.status != 503:
                    raise
                if not self._query.every_window:
                    return None
                await asyncio.sleep(_RETRY_S)

    def _probabilities(self, window: Window, answer: Answer | None) -> Probabilities:
        if window.clip is None or answer is None:
            return Probabilities(start_s=window.start_s, end_s=window.end_s)
        said = prediction(self._model, window.clip, answer, Wanted())
        return Probabilities(
            start_s=window.start_s, end_s=window.end_s, label=said.label, probabilities=said.probabilities,
            glosses=said.glosses, found=said.found,
        )  # fmt: skip

    async def _tell(self, *messages: StreamTold | None) -> None:
        """Probabilities may be lost where the client reads slowly, nothing else is."""
        async with self._changed:
            for message in messages:
                if isinstance(message, Probabilities) and len(self._unsent) >= self._limits.stream_unsent // 2:
                    self._dropped += 1
                    continue
                if len(self._unsent) >= self._limits.stream_unsent:
                    raise SlowClientError
                self._unsent.append(message)
            self._changed.notify_all()

    async def _send(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._unsent))
                message = self._unsent.popleft()
            if message is None:
                return
            try:
                async with asyncio.timeout(self._limits.stream_send_s):
                    await self._socket.send_text(message.model_dump_json())
            except TimeoutError as error:
                raise SlowClientError from error
