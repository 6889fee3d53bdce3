"""The HTTP application over loaded bundles: FastAPI alone, so it runs in a test or a plain process as on Ray."""

from typing import Any

from fastapi import FastAPI

from serve.native import native_routes
from serve.openapi import describe_bodies
from serve.problems import ProblemError, answer_errors_as_problems
from serve.shelf import Shelf
from serve.stream import stream_routes

_DESCRIPTION = "Recognise human movement from landmarks. Errors are RFC 9457 problem+json."


def make_api(shelf: Shelf) -> FastAPI:
    """The application over what stands on the shelf."""
    api = FastAPI(title="sigflow", version="1", description=_DESCRIPTION)
    answer_errors_as_problems(api)

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """The bundles are loaded."""
        if not shelf.models:
            raise ProblemError(503, "no bundle is loaded yet", {"Retry-After": "1"})
        return {"status": "ready", "models": sorted({model.manifest.name for model in shelf.models})}

    api.include_router(native_routes(shelf))
    api.include_router(stream_routes(shelf))
    describe_bodies(api)
    return api
