"""What the OpenAPI document says of bodies and problems: they are parsed here, within limits, and not by FastAPI."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serve.bodies import ARROW, JSON, NPY
from serve.bodies.npy import NpyQuery
from serve.problems import MEDIA_TYPE, Problem
from serve.schemas import EXAMPLE, PredictRequest, Wanted
from serve.tensors import BINARY, JSON_BYTES, InferRequest

_WHAT = {
    400: "a body that cannot be read", 404: "no such model", 413: "too large", 415: "a media type that is not read",
    422: "a body that makes no sense", 503: "too busy", 504: "too late",
}  # fmt: skip
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
INFER: dict[str, Any] = {
    "parameters": [
        {
            "name": JSON_BYTES,
            "in": "header",
            "required": False,
            "schema": {"type": "integer", "minimum": 1},
            "description": "bytes of JSON in front of binary tensors; without it the whole body is JSON",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": {"$ref": _REF.format(model="InferRequest")}},
            BINARY: _BYTES,
        },
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}}
    for status, what in _WHAT.items()
}
INFERRED = PROBLEMS | {200: {"description": f"in {BINARY} with the header {JSON_BYTES}", "content": {BINARY: _BYTES}}}


def describe_bodies(api: FastAPI) -> None:
    """Add the schemas that routes refer to."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        _, known = models_json_schema(
            [(model, "validation") for model in (PredictRequest, InferRequest, Problem)], ref_template=_REF
        )
        document["components"]["schemas"] |= known["$defs"]
        return document

    api.openapi = openapi  # type: ignore[method-assign]
