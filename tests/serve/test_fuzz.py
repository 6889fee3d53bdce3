"""If these fail, some request that nobody thought of is an error of the server, or is answered as no document says.

Requests are made from the OpenAPI document (schemathesis), and bodies from good ones with bytes changed (hypothesis).
"""

import copy
import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as conformance

from serve.access.guard import Door
from serve.api import make_api
from serve.bodies import ARROW, JSON, NPY, read_clips
from serve.problems import ProblemError
from serve.settings import Access, Limits
from sigflow.predictor import ClipInput
from tests.serve.hostile import FRAME, MODEL, arrow, clip, clips, npy
from tests.serve.shelves import shelf_of
from tests.serve.tiny import tiny_bundle

SHAPES = {"right_hand": (21, 3)}
LIMITS = Limits(body_bytes=1 << 20, clips=4, frames=100, padded_frames=200)
GOOD = {
    JSON: [clip(), clip(fps=None, time_ms=[0, 40, 80.5], top_k=2, votes=True)],
    NPY: [npy(np.stack([FRAME] * 3)), npy(np.asfortranarray(np.stack([np.stack([FRAME] * 2)] * 2).astype(">f8")))],
    ARROW: [arrow(clips(rows=2)), arrow(empty_batches=2)],
}
SLOWLY = pytest.param(2000, marks=pytest.mark.slow)
HEALTHY = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)


@st.composite
def mutated(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """A good body in which some bytes, or whole numbers, are others, or that is cut, or longer; or any bytes at all."""
    body = bytearray(draw(st.sampled_from([*bodies, draw(st.binary(max_size=200))])))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(body) - 8)))
        new = draw(
            st.binary(min_size=1, max_size=8)
            | st.sampled_from([struct.pack("<i", n) for n in (-1, 0, 1, 2**31 - 1, -(2**31))])
            | st.sampled_from([struct.pack("<q", n) for n in (-1, 1 << 40, 2**63 - 1, -(2**63))])
        )
        body[place : place + len(new)] = new
    end = draw(st.integers(-20, 0) | st.just(0))
    return bytes(body[: len(body) + end]) + draw(st.binary(max_size=4))


schemathesis.openapi.media_type(NPY, mutated(GOOD[NPY]))
schemathesis.openapi.media_type(ARROW, mutated(GOOD[ARROW]))


@pytest.mark.parametrize("examples", [150, SLOWLY])
@pytest.mark.parametrize("media_type", [JSON, NPY, ARROW])
def test_a_body_with_other_bytes_is_clips_or_the_clients_mistake(media_type: str, examples: int) -> None:
    seen = set()

    @seed(0)
    @settings(HEALTHY, max_examples=examples)
    @given(mutated(GOOD[media_type]))
    def check(body: bytes) -> None:
        answer = read(media_type, body)
        seen.add(answer if isinstance(answer, int) else 200)
        for each in answer if isinstance(answer, list) else ():
            sound(each)

    check()
    assert max(seen) < 500
    assert seen >= {200, 400}, "the mutations reach only one end of the reader"


def read(media_type: str, body: bytes) -> list[ClipInput] | int:
    """The clips, or the status with which they are refused."""
    try:
        return read_clips(media_type, body, {"fps": "30"} if media_type == NPY else {}, SHAPES, LIMITS)[0]
    except ProblemError as error:
        return error.status


def sound(each: ClipInput) -> None:
    """What a graph may be given: whole arrays without infinities, times that increase."""
    assert 1 <= len(each.time_s) <= LIMITS.frames
    assert np.isfinite(each.time_s).all()
    assert (np.diff(each.time_s) > 0).all()
    assert 0.05 < each.aspect < 20
    for part, points in each.parts.items():
        assert points.shape == (len(each.time_s), *SHAPES[part])
        assert points.dtype == np.float32
        assert not np.isinf(points).any()


@pytest.mark.parametrize("examples", [4, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda it: it.value)
def test_every_route_answers_as_the_openapi_document_says(mode: GenerationMode, examples: int) -> None:
    api = make_api(shelf_of(tiny_bundle(), limits=LIMITS), Door(Access(), {}))
    document = copy.deepcopy(api.openapi())
    for path in [*document["paths"]]:  # as the document says, and with the model's name, or only 404 would be seen
        if "{name}" in path:
            named = path.replace("{name}", MODEL).replace("{version}", "1")
            document["paths"][named] = without_path_parameters(document["paths"][path])
    schema = schemathesis.openapi.from_dict(document)
    schema.app = api
    predict = f"/v1/models/{MODEL}:predict"
    asked = set()

    def ask(case: Any) -> None:
        response = case.call()
        asked.add((case.path, response.status_code))
        case.validate_response(
            response,
            checks=[
                checks.not_a_server_error,
                conformance.status_code_conformance,
                conformance.content_type_conformance,
                conformance.response_schema_conformance,
            ],
        )

    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if operation.path == predict:  # a document cannot say what good landmarks are
            ask(operation.Case(body=json.loads(clip()), media_type=JSON))
        with suppress(Unsatisfiable):  # nothing about it can be wrong
            strategy = operation.as_strategy(generation_mode=mode)
            seed(0)(settings(HEALTHY, max_examples=examples)(given(strategy)(lambda case: ask(case))))()
    expected = {(predict, 200), (f"/v1/models/{MODEL}", 200), ("/readyz", 200)}
    assert (expected if mode is GenerationMode.POSITIVE else {(predict, 422)}) <= asked


def without_path_parameters(methods: dict[str, Any]) -> dict[str, Any]:
    kept = copy.deepcopy(methods)
    for operation in kept.values():
        operation["operationId"] += "_named"
        operation["parameters"] = [it for it in operation.get("parameters", []) if it["in"] != "path"]
    return kept
