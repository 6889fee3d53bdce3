"""A job of stages tells how far it is: its learn.json, replaced every few seconds, and stderr as ever."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from io import TextIOBase
from types import TracebackType
from typing import Any

from sigflow.errors import UserError
from sigflow.pipelines.stages import SAY_EVERY_S, Job, Stage, StageName, write_job
from sigflow.storage import Location

Count = Callable[[], tuple[int, int]]
_MOST_CHARACTERS = 500  # of an error, and of a line of progress


class Telling:
    """Keeps the file true while the block lasts; and it says how the block ended."""

    def __init__(self, place: Location, job: Job) -> None:
        self.job = job
        self._place = place
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._count: Count | None = None
        self._heard = _Heard(sys.stderr)
        self._current, self._began = 0, time.monotonic()

    def __enter__(self) -> "Telling":
        write_job(self._place, self.job)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.look()
        match error:
            case None:
                self.job = self.job.model_copy(update={"state": "done"})
            case KeyboardInterrupt() | SystemExit():  # the second is Ray's, of SIGTERM
                self.job = self.job.ended("stopped")
            case UserError():
                self.job = self.job.ended("failed", self._plain(str(error)))
            case _:
                self.job = self.job.ended("failed", self._plain(f"{type(error).__name__}: {error}"))
        write_job(self._place, self.job)

    @contextmanager
    def stage(self, name: StageName, count: Count | None = None) -> Iterator[None]:
        """Meanwhile this stage runs. `count`: how many are done, of how many; asked again and again."""
        with self._lock:
            self._current = [stage.name for stage in self.job.stages].index(name)
            self._count, self._heard, self._began = count, _Heard(sys.stderr), time.monotonic()
        self._change(state="running")
        print(f"learn: {name}", file=sys.stderr, flush=True)
        with redirect_stderr(self._heard):
            yield
        self.look()
        self._change(state="done")

    def add(self, **what: Any) -> None:
        """Findings, or the result."""
        with self._lock:
            self.job = self.job.model_copy(update=what)

    def _repeat(self) -> None:
        while not self._over.wait(SAY_EVERY_S):
            self.look()
            with suppress(OSError):  # storage that does not answer now is told later
                write_job(self._place, self.job)

    def look(self) -> None:
        """How far the stage is that runs."""
        counted: dict[str, int] = {}
        with suppress(OSError, UserError):
            if self._count:
                counted = dict(zip(("done", "of"), self._count(), strict=True))
        seconds = round(time.monotonic() - self._began, 1)
        self._change(only_running=True, seconds=seconds, said=self._plain(self._heard.last), **counted)

    def _change(self, *, only_running: bool = False, **what: Any) -> None:
        with self._lock:
            stages: list[Stage] = list(self.job.stages)
            if not only_running or stages[self._current].state == "running":
                stages[self._current] = stages[self._current].model_copy(update=what)
                self.job = self.job.model_copy(update={"stages": tuple(stages)})

    def _plain(self, text: str) -> str:
        """One line, without where all of it lies: whoever may ask a server needs not know its folders."""
        return " ".join(text.replace(f"{self._place.uri}/", "").replace(self._place.uri, "the folder").split())[
            :_MOST_CHARACTERS
        ]


class _Heard(TextIOBase):
    """Passes on what is written, and remembers its last line; of a bar, as it was last drawn."""

    def __init__(self, stream: Any) -> None:  # what stands for sys.stderr, which need be no TextIO
        self._stream, self._line, self.last = stream, "", ""

    def write(self, text: str) -> int:
        *whole, self._line = (self._line + text).replace("\r", "\n").split("\n")
        self.last = next((line for line in reversed(whole) if line.strip()), self.last)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # tqdm asks for it
        return self._stream.encoding
