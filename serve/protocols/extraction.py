"""Videos of requests to rows of landmarks, in worker processes that a hostile video may crash, hang or fill.

The replica itself decodes nothing. A worker is a process of its own (`sigflow.landmarks.isolation`) that keeps its
models and opens trackers for each video anew; it starts with the first video, and again after one that ended it.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa

from serve.problems import RETRY_AFTER, BadInputError, ProblemError
from serve.settings import Limits
from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import IsolatedExtractor
from sigflow.landmarks.isolation import Limits as Cost
from sigflow.landmarks.video import Bounds

FORMATS = ("mov", "matroska")  # mp4 and webm as ffmpeg calls what reads them; other formats name files to be opened
CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d", "mpeg4")
_VIDEOS_PER_WORKER = 500  # then a new one: what leaks or is logged in it does not grow without end


class Extractors:
    """The workers of a replica. Close after use; they end with this process, however it ends."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = ThreadPoolExecutor(max(1, limits.video_workers), thread_name_prefix="video")
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []
        self._alive = 0  # workers, idle or not
        self._requests, self._closed = 0, False

    @contextmanager
    def place(self) -> Iterator[None]:
        """For one request, from before its body is read: so many bodies are in memory at the most.

        Raises:
            ProblemError: 503, all are taken.
        """
        if self._requests >= self.limits.video_workers + self.limits.waiting_videos:
            raise ProblemError(503, "too many videos are waiting; try again, or add replicas", RETRY_AFTER)
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            if self._closed:
                self.close()

    async def row(self, video: bytes, options: DetectorOptions) -> pa.Table:
        """Its row of landmarks. Cancelled, the video is given up at once.

        Raises:
            ProblemError: 422, it is no video, or ends whatever reads it; 413, it is too long or takes too much memory;
                504, it takes too long; 503, no process for it starts.
        """
        stopped = threading.Event()
        try:
            loop = asyncio.get_running_loop()
            kind, table = await loop.run_in_executor(self._threads, self._extract, video, options, stopped)
        except RuntimeError as error:
            raise ProblemError(503, "what reads videos does not start; try again", RETRY_AFTER) from error
        finally:
            stopped.set()
        if kind == "clip":
            return table
        (failed,) = table.select(["stage", "error"]).to_pylist()
        raise _problem(failed["stage"], failed["error"], self.limits)

    def close(self) -> None:
        """End the workers, each after what it does for requests that have a place now."""
        self._closed = True
        if self._requests:
            return
        self._threads.shutdown(wait=False)
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.extractor.close()

    def _extract(self, video: bytes, options: DetectorOptions, stopped: threading.Event) -> tuple[str, pa.Table]:
        worker = self._worker(options)
        try:
            kind, table = worker.extractor.extract_bytes(video, stopped=stopped.is_set)
            if kind == "quarantine" and table["stage"][0].as_py() == "crash":  # perhaps of the machine's own, once
                kind, table = worker.extractor.extract_bytes(video, stopped=stopped.is_set)
            return kind, table
        finally:
            self._put_back(worker)

    def _worker(self, options: DetectorOptions) -> "_Worker":
        """One that has such models, or else a new one in the place of the one that waits the longest."""
        with self._lock:
            for worker in reversed(self._idle):
                if worker.options == options:
                    self._idle.remove(worker)
                    return worker
            outdated = self._idle.pop(0) if self._alive == self.limits.video_workers else None
            self._alive += outdated is None
        if outdated:
            outdated.extractor.close()
        try:
            return _Worker(options, self.limits)
        except RuntimeError:
            with self._lock:
                self._alive -= 1
            raise

    def _put_back(self, worker: "_Worker") -> None:
        worker.videos += 1
        with self._lock:
            keep = not self._closed and worker.videos < _VIDEOS_PER_WORKER
            if keep:
                self._idle.append(worker)
            else:
                self._alive -= 1
        if not keep:
            worker.extractor.close()


class Readers:
    """The extractors that all routes of a replica share, under the limits of now."""

    def __init__(self) -> None:
        self._now: Extractors | None = None

    def under(self, limits: Limits) -> Extractors:
        """Those that keep these limits; others end, each after what it does."""
        if self._now is None or self._now.limits != limits:
            self.close()
            self._now = Extractors(limits)
        return self._now

    def close(self) -> None:
        """End the workers."""
        if self._now is not None:
            self._now.close()


class _Worker:
    """A process for these options."""

    def __init__(self, options: DetectorOptions, limits: Limits) -> None:
        bounds = Bounds(
            formats=FORMATS, codecs=CODECS,
            pixels=limits.video_pixels, seconds=limits.video_seconds, frames=limits.video_frames,
        )  # fmt: skip
        cost = Cost(seconds=limits.video_deadline_s, memory_mb=limits.video_memory_mb, bounds=bounds)
        self.options, self.videos = options, 0
        self.extractor = IsolatedExtractor(options, {model: model_path(model) for model in options.models}, cost)


def _problem(stage: str, error: str, limits: Limits) -> ProblemError:
    match stage:
        case "open" | "decode":
            return BadInputError(f"the video cannot be read: {error}")
        case "bounds":
            return ProblemError(413, f"the video is too large: {error}")
        case "memory_limit":
            return ProblemError(413, f"reading this video {error}; send a smaller one")
        case "time_limit":
            return ProblemError(
                504, f"no landmarks within {limits.video_deadline_s:g} s; send a shorter video, or later"
            )
        case "crash":
            return BadInputError("this video ends the process that reads it, each time; send it in another format")
    return BadInputError("the detector fails on this video; send it in another format")
