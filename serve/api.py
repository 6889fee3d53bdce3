"""The HTTP application over loaded bundles: FastAPI alone, so it runs in a test or a plain process as on Ray."""

from typing import Any

from fastapi import FastAPI

from serve.access import Access
from serve.batching import RETRY_AFTER
from serve.native import native_routes
from serve.openapi import describe_bodies
from serve.problems import ProblemError, answer_errors_as_problems
from serve.shelf import Shelf

_DESCRIPTION = "Recognise human movement from landmarks. Errors are RFC 9457 problem+json."


def make_api(shelf: Shelf) -> FastAPI:
    """The application over what stands on the shelf."""
    api = FastAPI(title="sigflow", version="1", description=_DESCRIPTION)
    answer_errors_as_problems(api)

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process and its event loop live."""
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """The bundles are loaded. `refused`: the last change of settings could not be made, the log says why."""
        if not shelf.ready:
            raise ProblemError(503, "no bundle is loaded yet", RETRY_AFTER)
        names = sorted({model.manifest.name for model in shelf.models})
        return {"status": "ready", "models": names} | ({"refused": True} if shelf.refused else {})

    api.include_router(native_routes(shelf))
    describe_bodies(api)
    api.add_middleware(Access, meter=shelf.meter)
    return api
