"""The HTTP routes over loaded bundles: FastAPI alone, so they run in a test or a plain process as on Ray."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from serve.schemas import BadInputError, Prediction, PredictRequest, PredictResponse, Problem, clip_input
from sigflow.decoding import ctc_greedy
from sigflow.predictor import Predictor


def make_api(predictors: Mapping[str, Predictor]) -> FastAPI:
    """The application over predictors by name."""
    api = FastAPI(title="sigflow", version="1", description="Recognise human movement from landmarks.")
    _answer_errors_as_problems(api)

    def find(name: str) -> Predictor:
        if name not in predictors:
            raise HTTPException(404, f"no model {name!r}; there are {', '.join(sorted(predictors))}")
        return predictors[name]

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @api.get("/readyz")
    async def readyz() -> dict[str, Any]:
        """The bundles are loaded."""
        return {"status": "ready", "models": sorted(predictors)}

    @api.get("/v1/models")
    async def models() -> dict[str, Any]:
        """What is served."""
        return {"models": [{"name": name, "version": p.manifest.version} for name, p in sorted(predictors.items())]}

    @api.get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        """Labels, inputs, metrics and versions of one model."""
        manifest = find(name).manifest
        return manifest.model_dump(mode="json", exclude={"files", "recipes"}) | {"versions": [manifest.version]}

    @api.post("/v1/models/{name}:predict", responses={422: {"model": Problem}, 404: {"model": Problem}})
    def predict(name: str, request: PredictRequest) -> PredictResponse:
        """Label and probabilities of one clip or several."""
        return _predict(find(name), request)

    return api


def _predict(predictor: Predictor, request: PredictRequest) -> PredictResponse:
    manifest = predictor.manifest
    clips = [clip_input(instance, predictor.shapes) for instance in request.clips()]
    predictions = []
    for clip, probs in zip(clips, predictor.predict(clips), strict=True):
        if manifest.task == "sentences":
            glosses = [manifest.labels[k] for k in ctc_greedy(probs)]
            predictions.append(Prediction(label=" ".join(glosses), probabilities={}, glosses=glosses, found=clip.found))
            continue
        order = probs.argsort()[::-1][: request.top_k]
        top = {manifest.labels[k]: float(probs[k]) for k in order}
        predictions.append(Prediction(label=manifest.labels[order[0]], probabilities=top, found=clip.found))
    return PredictResponse(model=manifest.name, version=manifest.version, predictions=predictions)


def _answer_errors_as_problems(api: FastAPI) -> None:
    """RFC 9457 for everything that goes wrong."""

    def problem(status: int, detail: str) -> JSONResponse:
        body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
        return JSONResponse(body.model_dump(), status, media_type="application/problem+json")

    @api.exception_handler(BadInputError)
    async def bad_input(_: Request, error: BadInputError) -> JSONResponse:
        return problem(422, str(error))

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return problem(422, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")

    @api.exception_handler(Exception)
    async def unforeseen(_: Request, error: Exception) -> JSONResponse:
        return problem(500, "an error of the server's own; its log has more")

    @api.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail))
