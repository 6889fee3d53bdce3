"""A stored video as browsers ask for it: whole, or a range of its bytes."""

import asyncio
import re
from collections.abc import AsyncIterator

import pyarrow as pa
from fastapi.responses import Response, StreamingResponse

from serve.page.recordings import MEDIA, Recorded, told
from serve.problems import ProblemError

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_CHUNK_BYTES = 1 << 18


async def played(clip: Recorded, wanted: str) -> Response:
    """The clip's video.

    Args:
        wanted: the header Range; of another form than `bytes=from-to` it is left aside, as RFC 9110 says.

    Raises:
        ProblemError: 416, the video has no such bytes; 404, it is gone; 503, storage does not answer.
    """
    size = clip.stored.bytes
    start, end, status = 0, size, 200
    if match := _RANGE.fullmatch(wanted.replace(" ", "")):
        first, last = match.groups()
        start, end = _bounds(first, last, size)
        status = 206
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Cross-Origin-Resource-Policy": "same-origin",  # a foreign page may not even show it
        **({"Content-Range": f"bytes {start}-{end - 1}/{size}"} if status == 206 else {}),
    }
    name = clip.stored.location.name
    media_type = MEDIA.get(name[name.rfind(".") :], "application/octet-stream")
    file = await asyncio.to_thread(_open, clip, start)
    return StreamingResponse(_chunks(file, end - start), status, headers, media_type)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
    else:  # the last so many bytes
        start, end = max(0, size - int(last or 0)), size
    if start >= end:
        raise ProblemError(416, f"the video has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return start, end


def _open(clip: Recorded, start: int) -> pa.NativeFile:
    try:
        with told():
            file = clip.stored.location.open()
            file.seek(start)
            return file
    except FileNotFoundError as error:
        raise ProblemError(404, "the clip is gone") from error


async def _chunks(file: pa.NativeFile, left: int) -> AsyncIterator[bytes]:
    with file:
        while left > 0 and (chunk := await asyncio.to_thread(file.read, min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
