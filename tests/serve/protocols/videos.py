"""Videos as clients send them, good and hostile, made with PyAV."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

SIZE = (160, 120)
_MS = Fraction(1, 1000)


def video(
    times_ms: Sequence[int],
    *,
    sizes: Sequence[tuple[int, int]] = (SIZE,),
    container: str = "mp4",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int | None = None,
    **options: str,
) -> bytes:
    """Grey frames at these times, each a picture of its own. The first of `sizes` is declared; the last goes on."""
    pictures = {size: _picture(size, codec, pix_fmt) for size in sizes}
    stream = io.BytesIO()
    with av.open(stream, "w", format=container, options=options) as output:
        track = output.add_stream(codec, rate=25)
        assert isinstance(track, av.VideoStream)
        track.width, track.height, track.pix_fmt, track.time_base = *sizes[0], pix_fmt, _MS
        if rotation is not None:
            track.set_display_rotation(rotation)
        for number, time_ms in enumerate(times_ms):
            packet = av.Packet(pictures[sizes[min(number, len(sizes) - 1)]])
            packet.stream, packet.time_base, packet.pts, packet.dts = track, _MS, time_ms, number
            packet.is_keyframe = True
            output.mux(packet)
    return stream.getvalue()


def _picture(size: tuple[int, int], codec: str, pix_fmt: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, pix_fmt, _MS
    encoder.options = {"libx264": {"preset": "ultrafast"}, "libvpx-vp9": {"deadline": "realtime"}}.get(codec, {})
    frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="rgb24")
    frame.pts, frame.time_base = 0, _MS
    (packet,) = [*encoder.encode(frame), *encoder.encode(None)]
    return bytes(packet)


def sound() -> bytes:
    """A second of silence, and no picture."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as output:
        track = output.add_stream("aac", rate=8000)
        assert isinstance(track, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        output.mux(track.encode(frame))
        output.mux(track.encode())
    return stream.getvalue()
