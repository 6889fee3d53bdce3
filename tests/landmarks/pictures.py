"""A camera's pictures as a page sends them."""

import struct
from fractions import Fraction

import av
import numpy as np


def jpeg(rgb_HWC: np.ndarray, quality: int = 3) -> bytes:
    """A picture; the best `quality` is 2, the worst 31."""
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = rgb_HWC.shape[1], rgb_HWC.shape[0], "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"qmin": str(quality), "qmax": str(quality)}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb_HWC), format="rgb24")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def message(time_s: float, picture: bytes) -> bytes:
    """What is sent."""
    return struct.pack("<d", time_s) + picture
