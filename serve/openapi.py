"""What the OpenAPI document says of bodies and problems: they are parsed here, within limits, and not by FastAPI."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serve.access.guard import ALWAYS_OPEN
from serve.bodies import ARROW, JSON, NPY, VIDEO
from serve.bodies.npy import NpyQuery
from serve.problems import MEDIA_TYPE, Problem
from serve.protocols.tensors import BINARY, JSON_BYTES, InferRequest
from serve.schemas import EXAMPLE, PredictRequest, VideoWanted, Wanted

_WHAT = {
    400: "a body that cannot be read", 404: "no such model", 408: "a body that comes too slowly", 413: "too large",
    415: "a media type that is not read", 422: "a request that makes no sense", 503: "too busy", 504: "too late",
}  # fmt: skip
_EVERYWHERE = {
    400: "an X-Request-Id that is none", 414: "too long an address", 431: "too many or too large headers",
}  # fmt: skip
_BEHIND_KEYS = {401: "no key, or an unknown one", 403: "from another machine, without keys", 429: "too often"}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
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
PREDICT_VIDEO: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in VideoWanted.model_json_schema()["properties"].items()
    ],
    "requestBody": {"required": True, "content": dict.fromkeys(VIDEO, _BYTES)},
}


def _problems(what: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {status: {"description": text, "content": content} for status, text in what.items()}


PROBLEMS = _problems(_WHAT)
VIDEO_PROBLEMS = PROBLEMS | _problems({409: "not with this bundle", 501: "switched off"})
INFERRED = PROBLEMS | {200: {"description": f"in {BINARY} with the header {JSON_BYTES}", "content": {BINARY: _BYTES}}}


def describe_bodies(api: FastAPI) -> None:
    """Add the schemas that routes refer to, and what every route may answer."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        _, known = models_json_schema(
            [(model, "validation") for model in (PredictRequest, InferRequest, Problem)], ref_template=_REF
        )
        document["components"]["schemas"] |= known["$defs"]
        document["components"]["securitySchemes"] = _KEYS
        document["security"] = [{"bearer": []}, {"header": []}, {}]  # the last: where the server has no keys
        for path, methods in document["paths"].items():
            more = _EVERYWHERE | ({} if path in ALWAYS_OPEN else _BEHIND_KEYS)
            for operation in methods.values():
                if path in ALWAYS_OPEN:
                    operation["security"] = []
                answers = operation["responses"]
                if "422" in answers:  # FastAPI's own form of it is not answered here
                    answers["422"] = PROBLEMS[422]
                operation["responses"] = {str(status): it for status, it in _problems(more).items()} | answers
        return document

    api.openapi = openapi  # type: ignore[method-assign]
