"""A video file to RGB frames and their times, one frame in memory at a time (PyAV)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import av
import numpy as np
import pyarrow as pa
from av.error import FFmpegError
from pydantic import Field

from sigflow.config import Config


class ClipError(Exception):
    """This clip cannot be used. `stage` says where it failed: open, decode, detect."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class Sampling(Config):
    """Which frames are looked at; times stay those of the video."""

    every: int = Field(default=1, ge=1)  # each N-th frame
    fps: float | None = Field(default=None, gt=0)  # or at most this many a second, at the video's own times


@dataclass(frozen=True)
class Frame:
    """One upright frame: RGB (H, W, 3) uint8, and its time in ms from the start of the clip."""

    rgb_HWC: np.ndarray
    time_ms: float


def read_frames(
    source: str | BinaryIO | pa.NativeFile,
    sampling: Sampling,
    *,
    mirrored: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[Frame]:
    """Frames of `start_s` <= time < `end_s`, rotated as the file's metadata asks, times strictly increasing.

    A `mirrored` video is flipped back, so that sides and directions mean the same as in any other.

    Raises:
        ClipError: at stage "open" when it is no video, at "decode" when its frames cannot be read.
    """
    try:
        container = av.open(source, mode="r")
    except (FFmpegError, ValueError, UnicodeError) as error:
        raise ClipError("open", f"not a readable video: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise ClipError("open", "no video stream")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # clips are spread over processes, so threads would only compete
        rate = float(stream.average_rate or 0) or 30.0
        try:
            # Without an index (MPEG-TS) a seek may land in the middle of a group of pictures: those are read whole.
            if start_s > 0 and stream.time_base and stream.index_entries:
                origin = stream.start_time or 0
                container.seek(
                    origin + int(start_s / float(stream.time_base)), stream=stream
                )  # to the key frame before
            for frame, time_ms in _sampled(container.decode(stream), rate, sampling, start_s, end_s, stream.start_time):
                rgb_HWC = _upright(frame)
                yield Frame(np.ascontiguousarray(rgb_HWC[:, ::-1]) if mirrored else rgb_HWC, time_ms)
        except FFmpegError as error:
            raise ClipError("decode", _reason(error)) from error


def _sampled(
    frames: Iterator[av.VideoFrame],
    rate: float,
    sampling: Sampling,
    start_s: float,
    end_s: float | None,
    origin: int | None,
) -> Iterator[tuple[av.VideoFrame, float]]:
    """The frames that are wanted, and their times in ms from `start_s`."""
    kept, last_ms = -1, -np.inf
    next_s = 0.0
    for number, frame in enumerate(frames):
        offset = float(origin * frame.time_base) if origin and frame.time_base else 0.0
        time_s = (frame.time - offset if frame.time is not None else number / rate) - start_s
        if time_s < -1e-6:
            continue
        if end_s is not None and time_s >= end_s - start_s - 1e-6:
            return
        kept += 1
        if kept % sampling.every or (sampling.fps and time_s < next_s - 1e-6):
            continue
        if sampling.fps:
            step_s = 1 / sampling.fps
            next_s = (next_s if next_s + step_s > time_s else time_s) + step_s  # a gap does not make a burst afterwards
        # Some files repeat a time; MediaPipe and velocities need order.
        last_ms = max(time_s * 1000, last_ms + 1)
        yield frame, last_ms


def _upright(frame: av.VideoFrame) -> np.ndarray:
    rgb = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return rgb
    # x' = a x + c y, y' = b x + d y, y down (libavutil/display.h): turns by quarters and flips, as players apply them.
    a, b, _, c, d = np.frombuffer(cast(bytes, matrix), np.int32)[:5].tolist()
    x, y = (a, d) if abs(a) >= abs(b) else (c, b)
    upright = rgb if abs(a) >= abs(b) else rgb.transpose(1, 0, 2)
    return np.ascontiguousarray(upright[:: -1 if y < 0 else 1, :: -1 if x < 0 else 1])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
