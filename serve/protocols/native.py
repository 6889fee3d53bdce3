"""sigflow's own protocol: /v1/models."""

from itertools import islice
from typing import Annotated, Any

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


def native_routes(shelf: Shelf) -> APIRouter:
    """List, describe, predict."""
    routes = APIRouter(tags=["native"])

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

    async def predict(name: Name, request: Request) -> Response:
        """Label and probabilities of one clip or several."""
        return await answer(name, None, request)

    async def predict_version(name: Name, version: Version, request: Request) -> Response:
        """`predict` by one version of the model, whatever its share."""
        return await answer(name, version, request)

    async def answer(name: str, version: str | None, request: Request) -> Response:
        found = await shelf.fetch(name, version)
        limits = shelf.limits
        body = await read_body(request, limits)
        media_type = request.headers.get("content-type", JSON)
        clips, wanted = read_clips(media_type, body, request.query_params, found.predictor.shapes, limits)
        response = await predictions(shelf, found, clips, wanted)
        return Response(response.model_dump_json(), media_type=JSON)

    for path, route in (
        ("/v1/models/{name}/versions/{version}:predict", predict_version),
        ("/v1/models/{name}:predict", predict),
    ):
        routes.post(
            path, response_model=PredictResponse, responses=PROBLEMS, openapi_extra=PREDICT
        )(route)  # fmt: skip
    return routes


def _summary(model: Model) -> ModelSummary:
    return ModelSummary(
        name=model.manifest.name, version=model.manifest.version, precision=model.predictor.precision,
        share=model.served.share, shadow=model.served.shadow,
    )  # fmt: skip
