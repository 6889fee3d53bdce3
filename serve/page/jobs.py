"""Training over HTTP: begin a job, see how far it is, stop it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, ValidationError

from serve.bodies import JSON, read_body
from serve.hosting.shelf import Shelf
from serve.page.clips import folder_on
from serve.page.recordings import told
from serve.problems import BadInputError, ProblemError
from serve.settings import Limits
from sigflow.bundle.manifest import NAME
from sigflow.config import Config
from sigflow.pipelines.stages import Job, RecipeName, Until
from sigflow.storage import Location

_MOST_BYTES = 1 << 16
_Code = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]


class JobWanted(Config):
    """What is to be learnt. `force`: codes of the audit's errors that are accepted."""

    until: Until = "bundle"
    recipe: RecipeName = "recorded_gestures"
    name: str = Field(default="my_gestures", pattern=NAME, max_length=100)
    force: Annotated[tuple[_Code, ...], Field(max_length=40)] = ()


def job_routes(shelf: Shelf) -> APIRouter:
    """The one job of the page's folder."""
    from serve.page.learner import begin, now, stop  # here: whatever else is served needs no Ray

    routes = APIRouter(prefix="/page/jobs", include_in_schema=False)

    @routes.post("", status_code=202)
    async def start(request: Request) -> dict[str, Any]:
        folder, wanted = folder_on(shelf), await _wanted(request, shelf.limits)
        if any(model.manifest.name == wanted.name for model in shelf.models):
            raise BadInputError(f"a bundle {wanted.name!r} from elsewhere is served here; choose another name")
        registry = shelf.settings.registry
        assert registry, "settings with a folder have one"
        with told():
            return _shown(await asyncio.to_thread(begin, folder, {**wanted.model_dump(), "registry": registry.uri}))

    @routes.get("")
    async def state() -> dict[str, Any]:
        with told():
            return _shown(await asyncio.to_thread(now, folder_on(shelf)))

    @routes.delete("")
    async def end() -> dict[str, Any]:
        def stopped(folder: Location) -> Job | None:
            stop(folder)
            return now(folder)

        with told():
            return _shown(await asyncio.to_thread(stopped, folder_on(shelf)))

    return routes


async def _wanted(request: Request, limits: Limits) -> JobWanted:
    # A foreign page can send this media type only if it is asked first, and it is not (`access.cors`).
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ProblemError(415, f"send {JSON}")
    try:
        return JobWanted.model_validate_json(await read_body(request, limits, most_bytes=_MOST_BYTES) or b"{}")
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInputError(f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}") from error


def _shown(job: Job | None) -> dict[str, Any]:
    return {"job": job and job.model_dump(mode="json")}
