"""Request bodies to clips, each within limits before anything large is made of it."""

import asyncio
from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request

from serve.bodies.arrow import of_arrow
from serve.bodies.nested import of_json
from serve.bodies.npy import NpyQuery, of_npy
from serve.problems import BadInputError, ProblemError
from serve.schemas import Wanted, query
from serve.settings import Limits
from sigflow.predictor import ClipInput

JSON, NPY, ARROW = "application/json", "application/x-npy", "application/vnd.apache.arrow.stream"
_JSON = (JSON, "")
VIDEO = ("video/mp4", "video/webm", "application/octet-stream")


async def read_body(request: Request, limits: Limits, *, most_bytes: int | None = None) -> bytes:
    """The whole body, never more than the limit: `most_bytes`, or else that of bodies.

    Raises:
        ProblemError: 413, it is larger; 415, it is compressed; 408, it comes too slowly; 400, its sender went away.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProblemError(415, "compressed bodies are not read; send it without Content-Encoding")
    most = most_bytes or limits.body_bytes
    if _media_type(request.headers.get("content-type", "")) in _JSON:
        most = min(most, limits.json_bytes)
    large = ProblemError(413, f"the body is over {most} bytes; send fewer or shorter clips, or npy or Arrow")
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or len(announced) > 15 or int(announced) > most:
        raise large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise large
                parts.append(part)
    except TimeoutError as error:
        raise ProblemError(408, f"the body did not come within {limits.body_s:g} s") from error
    except ClientDisconnect as error:
        raise ProblemError(400, "the client went away") from error
    return b"".join(parts)


def read_clips(
    media_type: str, body: bytes, parameters: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], limits: Limits
) -> tuple[list[ClipInput], Wanted]:
    """What the body asks, by its media type.

    Args:
        parameters: of the query.
        shapes: of each part that the model reads, in a frame.

    Raises:
        ProblemError: 415, another media type; 400, a body that is not of it; 422, clips that make no sense; 413, too
            many of them.
    """
    match _media_type(media_type):
        case "application/json" | "":
            if parameters:
                raise BadInputError("with JSON, everything is in the body; leave out the query")
            return of_json(body, shapes, limits)
        case "application/x-npy":
            beside = query(parameters, NpyQuery)
            return list(of_npy(body, beside, shapes, limits)), beside
        case "application/vnd.apache.arrow.stream":
            return list(of_arrow(body, shapes, limits)), query(parameters, Wanted)
        case other:
            raise ProblemError(415, f"{other!r} is not read; send {JSON}, {NPY} or {ARROW}")


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()
