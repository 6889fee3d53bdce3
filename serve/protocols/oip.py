"""The Open Inference Protocol v2: /v2, as Triton and KServe speak it, with binary tensors.

A row of the inputs is a clip, padded to the longest; `docs/oip.md` says what may be left out and what else is lenient.
There are no routes for Triton's own model configuration, repository and shared memory: clients need them for nothing
here, and `extensions` does not claim them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.bodies import JSON, read_body
from serve.bodies.rows import read_rows
from serve.hosting.answers import ask, prediction
from serve.hosting.shelf import Model, Shelf
from serve.openapi import INFER, INFERRED, PROBLEMS
from serve.problems import RETRY_AFTER, BadInputError, ProblemError
from serve.protocols.native import Name, Version
from serve.protocols.tensors import (
    BINARY,
    JSON_BYTES,
    InferRequest,
    InferResponse,
    OutputTensor,
    read_request,
    write_response,
)
from serve.schemas import Wanted
from serve.settings import Limits
from sigflow.bundle import Manifest
from sigflow.predictor import Answer, ClipInput

_SMALLEST = 1e-12  # probabilities below count as that in `log_probs`, as docs/bundle.md says
_NUMBER = {True: 4, False: 20}  # bytes of a number that is answered in binary, and about those in JSON
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: PROBLEMS[404]}


def oip_routes(shelf: Shelf) -> APIRouter:
    """Health, metadata, inference."""
    routes = APIRouter(prefix="/v2", tags=["open inference protocol"])

    @routes.get("")
    async def server(request: Request) -> dict[str, Any]:
        """Name, version and extensions of the server."""
        app = request.app
        return {"name": app.title, "version": app.version, "extensions": ["binary_tensor_data"]}

    @routes.get("/health/live")
    async def live() -> dict[str, bool]:
        """The process answers."""
        return {"live": True}

    @routes.get("/health/ready", responses={503: PROBLEMS[503]})
    async def ready() -> dict[str, bool]:
        """The bundles are loaded."""
        if not shelf.ready:
            raise ProblemError(503, "no bundle is loaded yet", RETRY_AFTER)
        return {"ready": True}

    @routes.get("/models/{name}", responses=_UNKNOWN)
    async def model(name: Name) -> dict[str, Any]:
        """Versions, inputs and outputs of a model."""
        return _metadata(shelf, await shelf.fetch(name))

    @routes.get("/models/{name}/versions/{version}", responses=_UNKNOWN)
    async def model_version(name: Name, version: Version) -> dict[str, Any]:
        """`model` of one version."""
        return _metadata(shelf, await shelf.fetch(name, version))

    @routes.get("/models/{name}/ready", responses=_UNKNOWN)
    async def model_ready(name: Name) -> dict[str, Any]:
        """The model answers."""
        return {"name": (await shelf.fetch(name)).manifest.name, "ready": True}

    @routes.get("/models/{name}/versions/{version}/ready", responses=_UNKNOWN)
    async def version_ready(name: Name, version: Version) -> dict[str, Any]:
        """The version answers."""
        return {"name": (await shelf.fetch(name, version)).manifest.name, "ready": True}

    @routes.post("/models/{name}/infer", response_model=InferResponse, responses=INFERRED, openapi_extra=INFER)
    async def infer(name: Name, request: Request) -> Response:
        """Probabilities of a batch of clips."""
        return await _infer(shelf, await shelf.fetch(name), request)

    @routes.post(
        "/models/{name}/versions/{version}/infer",
        response_model=InferResponse, responses=INFERRED, openapi_extra=INFER,
    )  # fmt: skip
    async def infer_version(name: Name, version: Version, request: Request) -> Response:
        """`infer` by one version of the model, whatever its share."""
        return await _infer(shelf, await shelf.fetch(name, version), request)

    return routes


def _metadata(shelf: Shelf, model: Model) -> dict[str, Any]:
    manifest = model.manifest
    inputs = [
        {
            "name": value.name,
            "datatype": "INT64" if value.name == "lengths" else "FP32",
            "shape": [size if isinstance(size, int) else -1 for size in value.shape],
        }
        for value in manifest.inputs
    ]
    outputs = [output.model_dump(exclude_none=True) for output in _outputs(manifest, -1, -1).values()]
    return {
        "name": manifest.name,
        "versions": [other.manifest.version for other in shelf.models if other.manifest.name == manifest.name],
        "platform": "onnx_onnxv1",
        "inputs": inputs,
        "outputs": outputs,
    }


def _outputs(manifest: Manifest, clips: int, frames: int) -> dict[str, OutputTensor]:
    """What may be asked for."""
    sentences = manifest.task == "sentences"
    probs = (clips, frames, len(manifest.labels)) if sentences else (clips, len(manifest.labels))
    known = [OutputTensor(name="probs", datatype="FP32", shape=probs)]
    if sentences:
        known.append(OutputTensor(name="log_probs", datatype="FP32", shape=probs))
    if any(output.name == "votes" for output in manifest.outputs):
        votes = (clips, len(manifest.members), len(manifest.labels))
        known.append(OutputTensor(name="votes", datatype="FP32", shape=votes))
    known.append(OutputTensor(name="label", datatype="BYTES", shape=(clips,)))
    return {output.name: output for output in known}


async def _infer(shelf: Shelf, model: Model, request: Request) -> Response:
    limits = shelf.limits
    body = await read_body(request, limits)
    asked, given = read_request(body, request.headers.get(JSON_BYTES))
    clips, frames = read_rows(given, model.predictor.shapes, limits)
    outputs, binary = _wanted(asked, _outputs(model.manifest, len(clips), frames), limits)
    answers = await ask(shelf, model, clips, votes="votes" in binary)
    tensors = {output.name: _tensor(output, model, clips, answers) for output in outputs}
    response = InferResponse(
        model_name=model.manifest.name, model_version=model.manifest.version, id=asked.id, outputs=outputs
    )
    content, json_bytes = write_response(response, tensors, binary)
    if any(binary.values()):
        return Response(content, media_type=BINARY, headers={JSON_BYTES: str(json_bytes)})
    return Response(content, media_type=JSON)


def _wanted(
    asked: InferRequest, known: Mapping[str, OutputTensor], limits: Limits
) -> tuple[list[OutputTensor], dict[str, bool]]:
    """The outputs to give, and whether in binary.

    Raises:
        ProblemError: 422, an output that is unknown or named twice, or a way to give it; 413, an answer too large.
    """
    otherwise = bool(asked.parameters and asked.parameters.binary_data_output)
    if not asked.outputs:
        binary = {"probs": otherwise}
    else:
        binary = {}
        for output in asked.outputs:
            if output.name not in known or output.name in binary:
                raise BadInputError(f"output {output.name!r} is unknown or named twice; there are {', '.join(known)}")
            said = output.parameters
            if said and (said.shared_memory_region is not None or said.classification is not None):
                raise BadInputError(f"{output.name}: no shared memory or classification here; ask for 'label'")
            binary[output.name] = otherwise if said is None or said.binary_data is None else said.binary_data
    outputs = [known[name] for name in binary]
    numbers = sum(_NUMBER[binary[it.name]] * math.prod(it.shape) for it in outputs)
    if numbers > limits.body_bytes:
        raise ProblemError(413, f"the answer is over {limits.body_bytes} bytes; send fewer clips, or ask for 'label'")
    return outputs, binary


def _tensor(
    output: OutputTensor, model: Model, clips: Sequence[ClipInput], answers: Sequence[Answer]
) -> np.ndarray | list[str]:
    match output.name:
        case "label":
            wanted = Wanted(top_k=1)
            each = zip(clips, answers, strict=True)
            return [prediction(model, clip, answer, wanted).label or "" for clip, answer in each]
        case "votes":
            return np.array([answer.votes for answer in answers], np.float32)
        case _:
            probs = np.zeros(output.shape, np.float32)
            for row, answer in zip(probs, answers, strict=True):
                row[: len(answer.probs)] = answer.probs
            return np.log(np.maximum(probs, np.float32(_SMALLEST))) if output.name == "log_probs" else probs
