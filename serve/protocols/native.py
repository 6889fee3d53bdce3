"""sigflow's own protocol: /v1/models."""

from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from serve.bodies import JSON, read_body, read_clips
from serve.hosting.answers import predictions
from serve.hosting.shelf import Model, Shelf
from serve.openapi import PREDICT, PROBLEMS
from serve.schemas import ModelSummary, PredictResponse

_MOST_LISTED = 1000
Name = Annotated[str, Path(max_length=200, description="the bundle's name")]
Version = Annotated[str, Path(max_length=200, description="the bundle's version")]
Answer: TypeAlias = Callable[[str, str | None, Request], Awaitable[Response]]


def native_routes(shelf: Shelf) -> APIRouter:
    """List, describe, predict."""
    routes = APIRouter(tags=["native"])

    async def predict(name: str, version: str | None, request: Request) -> Response:
        """Label and probabilities of one clip or several."""
        found = await shelf.fetch(name, version)
        limits = shelf.limits
        media_type, parameters = request.headers.get("content-type", JSON), request.query_params
        # No name for the body: it is not kept while the clips wait.
        clips, wanted = read_clips(
            media_type, await read_body(request, limits), parameters, found.predictor.shapes, limits
        )
        response = await predictions(shelf, found, clips, wanted)
        return Response(response.model_dump_json(), media_type=JSON)

    # Before all others, as each request is compared with one route after the other, and by Ray once more.
    post_to_models(
        routes, "predict", predict, response_model=PredictResponse, responses=PROBLEMS, openapi_extra=PREDICT
    )

    @routes.get("/v1/models")
    async def models() -> dict[str, list[ModelSummary]]:
        """What is served. Of a registry only so many are named."""
        here = [_summary(model) for model in shelf.models]
        known = {(model.name, model.version) for model in here}
        more = (
            ModelSummary(name=name, version=version, on_demand=True)
            for name, versions in sorted((await shelf.versions()).items())
            for version in versions
            if (name, version) not in known
        )
        return {"models": here + list(islice(more, _MOST_LISTED))}

    @routes.get("/v1/models/{name}", responses={404: PROBLEMS[404]})
    async def model(name: Name) -> dict[str, Any]:
        """Labels, inputs, metrics and versions of one model."""
        found = await shelf.fetch(name)
        versions = [model.manifest.version for model in shelf.models if model.manifest.name == name]
        versions += [version for version in (await shelf.versions()).get(name, ()) if version not in versions]
        return found.manifest.model_dump(mode="json", exclude={"files", "recipes"}) | {"versions": versions}

    @routes.get("/v1/models/{name}/signals", responses={404: PROBLEMS[404]})
    async def signals(name: Name) -> dict[str, list[dict[str, Any]]]:
        """What this replica's last answers look like: shares of labels, diversity, drift, agreement of shadows."""
        found = await shelf.fetch(name)
        here = [model for model in shelf.models if model.manifest.name == name] or [found]
        return {"versions": [model.signals.now for model in here]}

    return routes


def post_to_models(routes: APIRouter, verb: str, answer: Answer, **described: Any) -> None:
    """Two routes, /v1/models/NAME:VERB and the same of one version, whatever its share.

    Args:
        answer: of the model's name, and of the version or None; its docstring is the routes' description.
        described: what else the OpenAPI document says of both.
    """

    async def of_version(name: Name, version: Version, request: Request) -> Response:
        return await answer(name, version, request)

    async def of_model(name: Name, request: Request) -> Response:
        return await answer(name, None, request)

    title, about = answer.__name__, answer.__doc__ or ""
    for path, route, name, description in (
        ("{name}", of_model, title, about),
        ("{name}/versions/{version}", of_version, f"{title}_version", f"{about} By this version, whatever its share."),
    ):
        routes.post(f"/v1/models/{path}:{verb}", name=name, description=description, **described)(route)


def _summary(model: Model) -> ModelSummary:
    return ModelSummary(
        name=model.manifest.name, version=model.manifest.version, precision=model.predictor.precision,
        share=model.served.share, shadow=model.served.shadow,
    )  # fmt: skip
