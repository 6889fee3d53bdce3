"""A video file to RGB frames and their times, one frame in memory at a time (PyAV)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, cast

import av
import numpy as np
import pyarrow as pa
from av.error import ArgumentError, FFmpegError
from pydantic import Field

from sigflow.config import Config

MAX_PIXELS = 64_000_000  # of a frame: 8K has 33 million, and a hostile header can claim any number
_MIN_DECODED = 0.8  # of the frames or seconds that the file declares: with fewer it was cut off


class ClipError(Exception):
    """This clip cannot be used. `stage` says where it failed: open, bounds, decode, detect."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class Sampling(Config):
    """Which frames are looked at; times stay those of the video."""

    every: int = Field(default=1, ge=1)  # each N-th frame
    fps: float | None = Field(default=None, gt=0)  # or at most this many a second, at the video's own times


class Bounds(Config):
    """Which videos are read. None: all that can be."""

    formats: tuple[str, ...] | None = None  # ffmpeg's demuxers; some of the others open further files that they name
    codecs: tuple[str, ...] | None = None  # ffmpeg's decoders
    pixels: int = Field(default=MAX_PIXELS, gt=0)  # of a frame
    seconds: float | None = Field(default=None, gt=0)
    frames: int | None = Field(default=None, gt=0)

    @property
    def codec_options(self) -> dict[str, str]:
        """As ffmpeg's decoders take them; they refuse a larger frame before they make room for it."""
        return {"max_pixels": str(self.pixels)}

    @property
    def options(self) -> dict[str, str]:
        """As its demuxers take them, which decode a little to find out what there is."""
        allowed = {"format_whitelist": self.formats, "codec_whitelist": self.codecs}
        return self.codec_options | {name: ",".join(these) for name, these in allowed.items() if these is not None}

    def refuse(self, pixels: int, seconds: float, frames: int) -> None:
        """ClipError for more than they allow."""
        if pixels > self.pixels:
            raise ClipError("bounds", f"frames of {pixels} pixels are larger than {self.pixels} pixels")
        if self.seconds is not None and seconds > self.seconds:
            raise ClipError("bounds", f"it is longer than {self.seconds:g} s")
        if self.frames is not None and frames > self.frames:
            raise ClipError("bounds", f"it has more than {self.frames} frames")


@dataclass(frozen=True)
class Frame:
    """One upright frame: RGB (H, W, 3) uint8, and its time in ms from the start of the clip."""

    rgb_HWC: np.ndarray
    time_ms: float


class Decoded(NamedTuple):
    """A frame as it is stored, its time from the start of the video, and how a player turns it."""

    frame: av.VideoFrame
    time_s: float
    display_matrix: tuple[int, ...] | None


class Sampler:
    """Decides, frame after frame, which belong to one clip: `start_s` <= time < `end_s`, thinned by `sampling`."""

    def __init__(self, sampling: Sampling, start_s: float = 0.0, end_s: float | None = None) -> None:
        self._sampling, self._start_s, self._end_s = sampling, start_s, end_s
        self._seen, self._last_ms, self._next_s = -1, -np.inf, 0.0

    def time_ms(self, time_s: float) -> float | None:
        """The frame's time from the clip's start, or None if it is not wanted. Strictly increasing."""
        since_s = time_s - self._start_s
        if since_s < -1e-6 or self.is_over(time_s):
            return None
        self._seen += 1
        if self._seen % self._sampling.every or (self._sampling.fps and since_s < self._next_s - 1e-6):
            return None
        if self._sampling.fps:
            step_s = 1 / self._sampling.fps
            # A gap does not make a burst afterwards.
            self._next_s = (self._next_s if self._next_s + step_s > since_s else since_s) + step_s
        # Some files repeat a time; MediaPipe and velocities need order.
        self._last_ms = max(since_s * 1000, self._last_ms + 1)
        return self._last_ms

    def is_over(self, time_s: float) -> bool:
        """Whether the clip ends at or before this time."""
        return self._end_s is not None and time_s >= self._end_s - 1e-6


def read_frames(
    source: str | BinaryIO | pa.NativeFile,
    sampling: Sampling,
    *,
    mirrored: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Iterator[Frame]:
    """The sampled frames of one clip; raises what `decode` raises."""
    sampler = Sampler(sampling, start_s, end_s)
    for decoded in decode(source, start_s=start_s, end_s=end_s):
        time_ms = sampler.time_ms(decoded.time_s)
        if time_ms is not None:
            yield Frame(upright_rgb(decoded, mirrored=mirrored), time_ms)


def decode(
    source: str | BinaryIO | pa.NativeFile,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    bounds: Bounds | None = None,
) -> Iterator[Decoded]:
    """Frames from the start of the video, or from a key frame before `start_s`; those of `start_s` <= time < `end_s`.

    Raises:
        ClipError: at stage "open" when it is no video, at "bounds" when it declares or has more than `bounds` allow, at
            "decode" when its frames cannot be read, or when the file ends long before the end that it declares.
    """
    bounds = bounds or Bounds()
    try:
        container = av.open(source, mode="r", options=bounds.options)
    except (FFmpegError, ValueError, UnicodeError) as error:
        of = f" of {', '.join(bounds.formats)}" if bounds.formats else ""
        raise ClipError("open", f"not a readable video{of}: {_reason(error)}") from error
    with container:
        if not container.streams.video:
            raise ClipError("open", "no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ClipError("open", "a video stream of an unknown codec")
        if bounds.codecs is not None and stream.codec_context.name not in bounds.codecs:
            raise ClipError("open", f"codec {stream.codec_context.name} is not read; {', '.join(bounds.codecs)} are")
        whole_s = container.duration / av.time_base if container.duration else 0.0
        if stream.duration and stream.time_base:
            whole_s = float(stream.duration * stream.time_base)
        bounds.refuse(stream.width * stream.height, whole_s, stream.frames)
        stream.codec_context.options = bounds.codec_options
        stream.codec_context.thread_count = 1  # clips are spread over processes, so threads would only compete
        rate = float(stream.average_rate or 0) or 30.0
        number, time_s = -1, 0.0
        matrix: tuple[int, ...] | None = None
        try:
            # Without an index (MPEG-TS) a seek may land in the middle of a group of pictures: those are read whole.
            if start_s > 0 and stream.time_base and stream.index_entries:
                start = (stream.start_time or 0) + int(start_s / float(stream.time_base))
                container.seek(start, stream=stream)  # to the key frame before
            for number, frame in enumerate(container.decode(stream)):
                origin_s = float(stream.start_time * frame.time_base) if stream.start_time and frame.time_base else 0.0
                time_s = frame.time - origin_s if frame.time is not None else number / rate
                if end_s is not None and time_s >= end_s - 1e-6:
                    return
                bounds.refuse(frame.width * frame.height, time_s, number + 1)  # the file may declare less than it has
                if number == 0:  # all frames of a stream share it, and each look leaves a cycle that holds its frame
                    matrix = _display_matrix(frame)
                yield Decoded(frame, time_s, matrix)
        except FFmpegError as error:
            reason = _reason(error)
            if isinstance(error, ArgumentError):  # also from a decoder that reads of a larger frame than is allowed
                reason += f" (not a frame, or one that is larger than {bounds.pixels} pixels)"
            raise ClipError("decode", f"{reason} after {number + 1} frames") from error
        if start_s == 0:
            _refuse_truncated(number + 1, stream.frames, time_s + 1 / rate, whole_s)


def decode_jpeg(data: bytes, bounds: Bounds) -> Decoded:
    """A picture that is whole, as it is stored: how a camera was held (EXIF) is not looked at.

    Raises:
        ClipError: at stage "decode", it is none, a damaged one, or one of more pixels than `bounds` allow.
    """
    decoder = av.CodecContext.create("mjpeg", "r")
    # By itself it would make up what is missing.
    decoder.options = bounds.codec_options | {"err_detect": "explode"}
    decoder.thread_count = 1
    try:
        (frame,) = decoder.decode(av.Packet(data))
    except (FFmpegError, ValueError) as error:
        raise ClipError("decode", f"no whole JPEG, or one of more than {bounds.pixels} pixels") from error
    return Decoded(frame, 0.0, None)


def upright_rgb(decoded: Decoded, *, mirrored: bool = False) -> np.ndarray:
    """(H, W, 3) uint8 as a player shows it. A `mirrored` video is flipped back, so that sides mean the same in all."""
    rgb_HWC = _upright(decoded.frame.to_ndarray(format="rgb24"), decoded.display_matrix)
    return np.ascontiguousarray(rgb_HWC[:, ::-1]) if mirrored else rgb_HWC


def _refuse_truncated(frames: int, declared_frames: int, seconds: float, declared_s: float) -> None:
    """A file whose end is missing often decodes without an error: half a movement must not pass for a whole one."""
    if frames < _MIN_DECODED * declared_frames:
        raise ClipError("decode", f"only {frames} of {declared_frames} declared frames are there; the file was cut off")
    if frames and seconds < _MIN_DECODED * declared_s - 1:
        raise ClipError("decode", f"only {seconds:.1f} of {declared_s:.1f} s are there; the file was cut off")


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    data = frame.side_data.get("DISPLAYMATRIX")
    return None if data is None else tuple(np.frombuffer(cast(bytes, data), np.int32).tolist())


def _upright(rgb_HWC: np.ndarray, display_matrix: tuple[int, ...] | None) -> np.ndarray:
    if display_matrix is None:
        return rgb_HWC
    # x' = a x + c y, y' = b x + d y, y down (libavutil/display.h): turns by quarters and flips, as players apply them.
    a, b, _, c, d = display_matrix[:5]
    x, y = (a, d) if abs(a) >= abs(b) else (c, b)
    turned = rgb_HWC if abs(a) >= abs(b) else rgb_HWC.transpose(1, 0, 2)
    return np.ascontiguousarray(turned[:: -1 if y < 0 else 1, :: -1 if x < 0 else 1])


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
