"""The HTTP application over loaded bundles: FastAPI alone, so it runs in a test or a plain process as on Ray."""

from functools import partial
from typing import Any

from fastapi import FastAPI

from serve.access.guard import Door, Guard
from serve.hosting.shelf import Shelf
from serve.openapi import PROBLEMS, describe_bodies
from serve.page.clips import clip_routes
from serve.page.jobs import job_routes
from serve.page.static_files import static_routes
from serve.problems import RETRY_AFTER, ProblemError, answer_errors_as_problems
from serve.protocols.extraction import Readers
from serve.protocols.live import live_routes
from serve.protocols.native import native_routes
from serve.protocols.oip import oip_routes
from serve.protocols.stream import stream_routes
from serve.protocols.video import video_routes
from serve.telemetry.access_log import AccessLog
from serve.telemetry.signals import Meter

_DESCRIPTION = "Recognise human movement from landmarks. Errors are RFC 9457 problem+json."


def make_api(shelf: Shelf, door: Door | None = None, *, names_answers: bool = True) -> FastAPI:
    """The application over what stands on the shelf, for whom the door lets in.

    Args:
        names_answers: whether to put X-Request-Id on answers; Ray's proxy does it itself.
    """
    api = FastAPI(title="sigflow", version="1", description=_DESCRIPTION, redoc_url=None)
    answer_errors_as_problems(api)
    api.include_router(native_routes(shelf))

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process and its event loop live."""
        return {"status": "ok"}

    @api.get("/readyz", responses={503: PROBLEMS[503]})
    async def readyz() -> dict[str, Any]:
        """Bundles are loaded, and it is not about to stop. `refused`: the last change of settings was, see the log."""
        if not shelf.ready:
            raise ProblemError(503, "no bundle is loaded yet", RETRY_AFTER)
        if shelf.draining:
            raise ProblemError(503, "about to stop: ask another server", RETRY_AFTER)
        names = sorted({model.manifest.name for model in shelf.models})
        return {"status": "ready", "models": names} | ({"refused": True} if shelf.refused else {})

    api.include_router(oip_routes(shelf))
    readers = Readers()
    api.include_router(video_routes(shelf, readers))
    api.include_router(stream_routes(shelf))
    api.include_router(live_routes(shelf))
    api.include_router(static_routes(shelf))
    api.include_router(clip_routes(shelf, readers))
    api.include_router(job_routes(shelf))
    describe_bodies(api)
    _put_outermost(api, door or Door(), shelf.meter, names_answers)
    return api


def _put_outermost(api: FastAPI, door: Door, meter: Meter, names_answers: bool) -> None:
    """FastAPI's own middleware would be inside of what answers errors that nobody foresaw."""
    inner = api.build_middleware_stack
    guarded = partial(Guard, door=door, names_answers=names_answers)
    api.build_middleware_stack = lambda: AccessLog(guarded(inner()), meter)  # type: ignore[method-assign]
