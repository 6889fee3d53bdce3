"""What the OpenAPI document says of bodies and problems: they are parsed here, within limits, and not by FastAPI."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serve.bodies import ARROW, JSON, NPY, VIDEO
from serve.bodies.npy import NpyQuery
from serve.problems import MEDIA_TYPE, Problem
from serve.schemas import EXAMPLE, PredictRequest, VideoWanted, Wanted

_WHAT = {
    400: "a body that cannot be read", 404: "no such model", 408: "the body does not come", 409: "not with this bundle",
    413: "too large", 415: "a media type that is not read", 422: "a body that makes no sense", 501: "switched off",
    503: "too busy", 504: "too late",
}  # fmt: skip
_OF_VIDEOS = (408, 409, 501)
_ALSO = (" alone", f" and {ARROW}; of {JSON} it is in the body")
_REF = "#/components/schemas/{model}"
_BYTES = {"schema": {"type": "string", "format": "binary"}}
PREDICT: dict[str, Any] = {
    "parameters": [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": schema,
            "description": f"of {NPY}" + _ALSO[name in Wanted.model_fields],
        }
        for name, schema in NpyQuery.model_json_schema()["properties"].items()
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"$ref": _REF.format(model="PredictRequest")}, "example": EXAMPLE},
            NPY: _BYTES,
            ARROW: _BYTES,
        },
    },
}
PREDICT_VIDEO: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in VideoWanted.model_json_schema()["properties"].items()
    ],
    "requestBody": {"required": True, "content": dict.fromkeys(VIDEO, _BYTES)},
}
VIDEO_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}}
    for status, what in _WHAT.items()
}
PROBLEMS = {status: it for status, it in VIDEO_PROBLEMS.items() if status not in _OF_VIDEOS}


def describe_bodies(api: FastAPI) -> None:
    """Add the schemas that routes refer to."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        _, known = models_json_schema([(PredictRequest, "validation"), (Problem, "validation")], ref_template=_REF)
        document["components"]["schemas"] |= known["$defs"]
        return document

    api.openapi = openapi  # type: ignore[method-assign]
