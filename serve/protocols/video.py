"""A video file in, an answer out: /v1/models/{name}:predictVideo."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from serve.bodies import JSON, VIDEO, read_body
from serve.bodies.arrow import of_table
from serve.hosting.answers import predictions
from serve.hosting.shelf import Model, Shelf
from serve.openapi import PREDICT_VIDEO, VIDEO_PROBLEMS
from serve.problems import BadInputError, ProblemError
from serve.protocols.extraction import Extractors, Readers
from serve.protocols.native import post_to_models
from serve.schemas import VideoResponse, VideoSeen, VideoWanted, query
from sigflow.landmarks.detector import DetectorOptions
from sigflow.predictor import ClipInput
from sigflow.schema import landmark_schema, models_for

_T = TypeVar("_T")
_MOST_CHARACTERS = 200  # of a fingerprint's part, in an error


def video_routes(shelf: Shelf, readers: Readers) -> APIRouter:
    """Predict of a video; what reads videos ends with the application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        readers.close()

    routes = APIRouter(tags=["native"], lifespan=lifespan)

    async def predict_video(name: str, version: str | None, request: Request) -> Response:
        """Label and probabilities of a video, whose landmarks are extracted as the bundle's were."""
        model = await shelf.fetch(name, version)
        limits = shelf.limits
        if not limits.video_workers:
            raise ProblemError(501, "this server reads no videos; send landmarks to :predict")
        refuse_other_media(request.headers.get("content-type", VIDEO[-1]))
        wanted = query(request.query_params, VideoWanted)
        options = extractor_options(model)
        extractors = readers.under(limits)
        with extractors.place():
            _, row, extraction_s = await video_and_row(request, extractors, options)
        began = time.perf_counter()
        (clip,) = of_table(row, model.predictor.shapes, limits)
        plain = await predictions(shelf, model, [clip], wanted)
        timing = f"extraction;dur={extraction_s * 1000:.1f}, answer;dur={(time.perf_counter() - began) * 1000:.1f}"
        same = options.fingerprint == model.manifest.extractor
        response = VideoResponse(**dict(plain), video=_seen(row, clip, same=same), **_shown(row, clip, wanted))
        return Response(response.model_dump_json(), media_type=JSON, headers={"Server-Timing": timing})

    post_to_models(
        routes, "predictVideo", predict_video,
        response_model=VideoResponse, responses=VIDEO_PROBLEMS, openapi_extra=PREDICT_VIDEO,
    )  # fmt: skip
    return routes


def extractor_options(model: Model) -> DetectorOptions:
    """How to look at a video, so that its landmarks are such as the model was trained on.

    Raises:
        ProblemError: 409, this installation cannot make them; or can make others, and settings do not allow those.
    """
    made_with, parts = model.manifest.extractor, model.manifest.parts
    try:
        options = DetectorOptions.of_fingerprint(made_with)
        difference = _difference(made_with, options.fingerprint)
    except ValueError:
        options = DetectorOptions(models=models_for(parts))
        difference = f"imported, or made by another program: {made_with[:_MOST_CHARACTERS]}"
    if missing := set(parts) - set(landmark_schema(options.parts).names):
        raise ProblemError(409, f"this model reads {sorted(missing)[0]}, which no video gives; send it to :predict")
    if difference and not model.served.allow_other_extractor:
        raise ProblemError(
            409, f"this server cannot make such landmarks as the model was trained on ({difference}); send landmarks "
            "to :predict, or set allow_other_extractor for the bundle",
        )  # fmt: skip
    return options


def _difference(there: str, here: str) -> str:
    """Between two fingerprints, in words; empty if they are equal."""
    theirs, ours = json.loads(there), json.loads(here)
    return "; ".join(
        f"{key} {str(theirs.get(key))[:_MOST_CHARACTERS]} there, {str(ours.get(key))[:_MOST_CHARACTERS]} here"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    )


def refuse_other_media(media_type: str) -> None:
    """Before a body is read.

    Raises:
        ProblemError: 415, it is no video by its own word.
    """
    if (given := media_type.partition(";")[0].strip().lower()) not in VIDEO:
        raise ProblemError(415, f"{given!r} is not read; send the file itself as the body, as {' or '.join(VIDEO)}")


async def video_and_row(
    request: Request, extractors: Extractors, options: DetectorOptions
) -> tuple[bytes, pa.Table, float]:
    """The body, its row of landmarks, and how long these took in s; one deadline for its upload and its extraction.

    Raises:
        ProblemError: as `read_body` and `Extractors.row`.
    """
    limits, video = extractors.limits, None
    try:
        async with asyncio.timeout(limits.video_deadline_s):
            video = await read_body(request, limits, most_bytes=limits.video_bytes)
            if not video:
                raise BadInputError("the body is empty; send a video")
            began = time.perf_counter()
            row = await _while_connected(request, extractors.row(video, options))
            return video, row, time.perf_counter() - began
    except TimeoutError as error:
        if video is None:
            raise ProblemError(408, f"the video did not come within {limits.video_deadline_s:g} s") from error
        raise ProblemError(
            504, f"no landmarks within {limits.video_deadline_s:g} s; send a shorter video, or later"
        ) from error


async def _while_connected(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` gives; it is cancelled when the client is gone."""
    doing, gone = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((doing, gone), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ProblemError(408, "the client is gone")
        return doing.result()
    finally:
        doing.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _seen(row: pa.Table, clip: ClipInput, *, same: bool) -> VideoSeen:
    there = {part: ~np.isnan(points.reshape(len(points), -1)).all(1) for part, points in clip.parts.items()}
    return VideoSeen(
        frames=len(clip.time_s), seconds=round(float(clip.time_s[-1]), 3),
        width=row["width"][0].as_py(), height=row["height"][0].as_py(),
        found={part: float(frames.mean()) for part, frames in there.items()},
        same_extractor=same,
    )  # fmt: skip


def _shown(row: pa.Table, clip: ClipInput, wanted: VideoWanted) -> Mapping[str, Any]:
    """The clip as a body of :predict."""
    if not wanted.landmarks:
        return {}
    landmarks = {
        part: [None if np.isnan(frame).all() else frame.tolist() for frame in points]
        for part, points in clip.parts.items()
    }
    return {"landmarks": landmarks, "time_ms": row["time_ms"][0].as_py(), "aspect": clip.aspect}
