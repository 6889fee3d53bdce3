"""Extraction in a child process: a file that crashes the decoder, hangs it or eats memory costs its own clip alone.

The child is a program of its own (`sigflow.landmarks.isolated`), not a fork: it shares no threads, locks or file
handles with the caller, which may be a Ray worker or a server. The two speak in messages over a pair of pipes, JSON and
Arrow and never pickle, so that a child taken over by a hostile file can at worst send wrong numbers.

A video that is no file (an upload), or a camera's picture, passes through one without a name, which both hold open: it
is in no folder, and gone with the two processes however they end.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import psutil
import pyarrow as pa
from pydantic import Field

from sigflow.config import Config
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import failure, quarantine_table
from sigflow.landmarks.live import failed_picture
from sigflow.landmarks.manifest import MANIFEST_SCHEMA
from sigflow.landmarks.video import Bounds

Kind = Literal["clip", "quarantine"]
_POLL_S = 0.1


class Limits(Config):
    """What one source may cost before its clips are given up."""

    seconds: float = Field(default=3600.0, gt=0)  # for one clip, or all segments of a source that are read in one go
    stalled_s: float = Field(default=60.0, gt=0)  # without a new frame
    memory_mb: int = Field(default=4096, gt=0)  # of the child, resident
    bounds: Bounds = Bounds()


class IsolatedExtractor:
    """Extracts in a child that is started when needed, and again when it had to be killed. Close after use."""

    def __init__(self, options: DetectorOptions, model_paths: Mapping[str, Path], limits: Limits) -> None:
        self._options, self._model_paths, self._limits = options, model_paths, limits
        self._child: _Child | None = None

    def extract(
        self, clips: Sequence[Mapping[str, Any]], *, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[Kind, pa.Table]]:
        """A table of one row for each of the clips (manifest rows of ONE source).

        When several segments go down together, each is tried again alone. Once `stopped`, which is asked many times a
        second, the clips are given up and the child ends.
        """
        left = {clip["clip_id"]: clip for clip in clips}
        problem: tuple[str, str] | None = None
        try:
            for kind, table in self._started(stopped).ask(list(clips), self._limits, stopped):
                del left[table["clip_id"][0].as_py()]
                yield kind, table
        except _ChildError as error:
            problem = (error.stage, str(error))
            self.close()
        if problem and len(clips) > 1:
            for clip in left.values():
                yield from self.extract([clip])
        elif problem:
            for clip in left.values():
                yield "quarantine", quarantine_table([failure(clip, self._options, *problem)])

    def extract_bytes(self, video: bytes, *, stopped: Callable[[], bool] = lambda: False) -> tuple[Kind, pa.Table]:
        """`extract` of a whole video that is no file."""
        child = self._started(stopped)
        clip = dict.fromkeys(MANIFEST_SCHEMA.names) | {"clip_id": "", "source": child.hold(video)}
        try:
            (result,) = self.extract([clip], stopped=stopped)
        finally:
            if child is self._child:
                child.hold(b"")
        return result

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    @property
    def pid(self) -> int | None:
        """The child's process id, if it runs."""
        return self._child.process.pid if self._child else None

    def _started(self, stopped: Callable[[], bool]) -> "_Child":
        if self._child is None:
            self._child = _Child(self._options, self._model_paths, self._limits.bounds, stopped)
        return self._child


class IsolatedCamera:
    """One camera's pictures, in a child of its own that starts now. Close after use.

    Raises:
        RuntimeError: the child does not start, or is `stopped` before.
    """

    def __init__(
        self, options: DetectorOptions, model_paths: Mapping[str, Path], limits: Limits, stopped: Callable[[], bool]
    ) -> None:
        self._options, self._limits, self._stopped = options, limits, stopped
        self._child = _Child(options, model_paths, limits.bounds, stopped)

    def look(self, jpeg: bytes, time_s: float, anew: bool) -> tuple[Kind, pa.Table] | None:
        """The row of one frame, see `live.Camera.look`; None: it is left out. After a child's end there is no next."""
        picture = {"source": self._child.hold(jpeg), "time_s": time_s, "anew": anew}
        try:
            return next(iter([*self._child.ask(picture, self._limits, self._stopped)]), None)
        except _ChildError as error:
            self.close()
            return "quarantine", quarantine_table([failed_picture(self._options, error.stage, str(error))])

    def close(self) -> None:
        """End the child."""
        self._child.kill()


class _ChildError(Exception):
    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class _Child:
    def __init__(
        self, options: DetectorOptions, model_paths: Mapping[str, Path], bounds: Bounds, stopped: Callable[[], bool]
    ) -> None:
        their_input, our_output = os.pipe()
        our_input, their_output = os.pipe()
        command = [sys.executable, "-m", "sigflow.landmarks.isolated", str(their_input), str(their_output)]
        # MediaPipe's chatter stays off the terminal; it is looked at only when the child does not start.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `kill`
        self._held = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `kill`
        self.process = subprocess.Popen(  # noqa: S603  # own words
            command, pass_fds=(their_input, their_output, self._held.fileno()),
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        os.close(their_input)
        os.close(their_output)
        self._to, self._from = Connection(our_output, readable=False), Connection(our_input, writable=False)
        setup = {
            "options": options.model_dump_json(),
            "paths": {name: str(path) for name, path in model_paths.items()},
            "bounds": bounds.model_dump_json(),
            "caller": os.getpid(),
        }
        try:
            self._to.send_bytes(json.dumps(setup).encode())
            while not self._from.poll(_POLL_S):
                if stopped():
                    self.process.kill()
            self._from.recv_bytes()  # ready: what fails before this is this machine's fault, not a clip's
        except (EOFError, OSError) as error:
            self.process.wait()
            words = self._last_words()
            self.kill()
            raise RuntimeError(f"the extraction process does not start: {words}") from error

    def hold(self, video: bytes) -> str:
        """Where the child finds it, until the next one is held."""
        self._held.seek(0)
        self._held.truncate()
        self._held.write(video)
        self._held.flush()
        return f"/dev/fd/{self._held.fileno()}"

    def ask(
        self, wanted: list[Mapping[str, Any]] | Mapping[str, Any], limits: Limits, stopped: Callable[[], bool]
    ) -> Iterator[tuple[Kind, pa.Table]]:
        """Results as they come; raises `_ChildError` when a limit is passed, the child ends, or it is `stopped`."""
        started = heard = time.monotonic()
        status = psutil.Process(self.process.pid)
        try:
            self._to.send_bytes(json.dumps(wanted).encode())
            while True:
                if self._from.poll(_POLL_S):
                    message = self._from.recv_bytes()
                    heard = time.monotonic()
                    match message[:1]:
                        case b"C":
                            yield "clip", _table(message[1:])
                        case b"Q":
                            yield "quarantine", _table(message[1:])
                        case b"E":
                            return
                now = time.monotonic()
                if stopped():
                    raise _ChildError("stopped", "given up")
                if now - started > limits.seconds:
                    raise _ChildError("time_limit", f"not done after {limits.seconds:g} s")
                if now - heard > limits.stalled_s:
                    raise _ChildError("time_limit", f"no new frame for {limits.stalled_s:g} s")
                if status.memory_info().rss > limits.memory_mb << 20:
                    raise _ChildError("memory_limit", f"took more than {limits.memory_mb} MB of memory")
        except (EOFError, OSError, psutil.Error) as error:
            code = self.process.wait()
            reason = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise _ChildError("crash", f"the decoder or detector ended its process ({reason})") from error

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.returncode}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for file in (self._to, self._from, self._log, self._held):
            file.close()


def _table(data: bytes) -> pa.Table:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
