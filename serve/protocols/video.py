"""A video file in, an answer out: /v1/models/{name}:predictVideo."""

import asyncio
import json
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
from serve.protocols.extraction import Extractors
from serve.protocols.native import post_to_models
from serve.schemas import VideoResponse, VideoSeen, VideoWanted, query
from sigflow.landmarks.detector import DetectorOptions
from sigflow.predictor import ClipInput
from sigflow.schema import landmark_schema
from sigflow.topology import MODELS

_T = TypeVar("_T")
_MOST_CHARACTERS = 200  # of a fingerprint's part, in an error


def video_routes(shelf: Shelf) -> APIRouter:
    """Predict of a video; its workers end with the application."""
    workers: list[Extractors] = []  # one, once a video came

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for each in workers:
            each.close()

    routes = APIRouter(tags=["native"], lifespan=lifespan)

    async def predict_video(name: str, version: str | None, request: Request) -> Response:
        """Label and probabilities of a video, whose landmarks are extracted as the bundle's were."""
        model = await shelf.fetch(name, version)
        limits = shelf.limits
        if not limits.video_workers:
            raise ProblemError(501, "this server reads no videos; send landmarks to :predict")
        _refuse_other_media(request.headers.get("content-type", VIDEO[-1]))
        wanted = query(request.query_params, VideoWanted)
        options = extractor_options(model)
        extractors = extractors_now()
        with extractors.place():
            row = await _row(request, extractors, options)
        (clip,) = of_table(row, model.predictor.shapes, limits)
        plain = await predictions(shelf, model, [clip], wanted)
        same = options.fingerprint == model.manifest.extractor
        response = VideoResponse(**dict(plain), video=_seen(row, clip, same=same), **_shown(row, clip, wanted))
        return Response(response.model_dump_json(), media_type=JSON)

    def extractors_now() -> Extractors:
        if not workers or workers[0].limits != shelf.limits:
            while workers:
                workers.pop().close()
            workers.append(Extractors(shelf.limits))
        return workers[0]

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
        models = [name for name, given in MODELS.items() if set(landmark_schema(given).names) & set(parts)]
        options = DetectorOptions(models=tuple(models))
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


def _refuse_other_media(media_type: str) -> None:
    if (given := media_type.partition(";")[0].strip().lower()) not in VIDEO:
        raise ProblemError(415, f"{given!r} is not read; send the file itself as the body, as {' or '.join(VIDEO)}")


async def _row(request: Request, extractors: Extractors, options: DetectorOptions) -> pa.Table:
    """The video's row of landmarks, within one deadline for its upload and its extraction."""
    limits, video = extractors.limits, None
    try:
        async with asyncio.timeout(limits.video_deadline_s):
            video = await read_body(request, limits, most_bytes=limits.video_bytes)
            if not video:
                raise BadInputError("the body is empty; send a video")
            return await _while_connected(request, extractors.row(video, options))
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
