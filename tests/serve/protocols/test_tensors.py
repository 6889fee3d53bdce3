"""If these fail, a body of the Open Inference Protocol can hurt the server, or is answered though it makes no sense."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.api import make_api
from serve.settings import Limits
from sigflow.bundle import read_bundle
from sigflow.storage import Location
from tests.serve.shelves import shelf_of
from tests.serve.test_api import Client

INFER = "/v2/models/gestures/infer"
HAND = np.random.default_rng(0).uniform(0.2, 0.8, (2, 3, 21, 3)).astype(np.float32)
TIMES = np.tile(np.arange(3, dtype=np.float32) / 25, (2, 1))
TYPES = {"<f2": "FP16", "<f4": "FP32", "<f8": "FP64", "<i4": "INT32", "<i8": "INT64"}
Change = dict[str, Any]


@pytest.fixture(scope="module")
def client(exported_bundle: Location) -> Client:
    return Client(make_api(shelf_of(read_bundle(exported_bundle), limits=Limits(body_bytes=1 << 20))))


def tensor(name: str, array: np.ndarray, **changes: Any) -> dict[str, Any]:
    """In JSON, nested; with changes."""
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": TYPES[array.dtype.str],
        "data": array.tolist(),
    } | changes


def asked(*changes: Change, **more: Any) -> dict[str, Any]:
    """A good request in JSON, with changes to its inputs (hand, times, lengths) and to itself."""
    inputs = [tensor("right_hand", HAND), tensor("time_s", TIMES), tensor("lengths", np.array([3, 2]))]
    return {"inputs": [each | change for each, change in zip(inputs, [*changes, {}, {}, {}], strict=False)]} | more


def binary(hand: np.ndarray = HAND, times: np.ndarray = TIMES, **changes: Any) -> tuple[bytes, int]:
    """A good body of binary tensors, and how much of it is JSON; with changes to the hand."""
    inputs = []
    for name, array in {"right_hand": hand, "time_s": times}.items():
        each = tensor(name, array, parameters={"binary_data_size": array.nbytes})
        del each["data"]
        inputs.append(each)
    inputs[0] |= changes
    text = json.dumps({"inputs": inputs}).encode()
    return b"".join([text, hand.tobytes(), times.tobytes()]), len(text)


def sent(client: Client, body: bytes, json_bytes: object = None, **headers: str) -> httpx.Response:
    length = {} if json_bytes is None else {"inference-header-content-length": str(json_bytes)}
    return client.post(INFER, content=body, headers=length | headers)


@pytest.fixture(scope="module")
def refused(client: Client) -> Callable[..., str]:
    """Posts what must be refused; what a client of the protocol reads."""

    def post(body: bytes | Mapping[str, Any], status: int = 422, json_bytes: object = None, **headers: str) -> str:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = sent(client, content, json_bytes, **headers)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert said["error"] == said["detail"]
        return str(said["error"])

    return post


def probs(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def test_the_same_tensors_get_the_same_answer_flat_nested_and_binary(client: Client) -> None:
    expected = probs(sent(client, *binary()))
    nested = asked()
    nested["inputs"].pop()  # all frames, as in the binary body
    flat = [each | {"data": np.ravel(each["data"]).tolist()} for each in nested["inputs"]]
    for body in (nested, {"inputs": flat}, {"inputs": flat[::-1], "parameters": None, "mine": 1}):
        np.testing.assert_allclose(probs(client.post(INFER, json=body)), expected, rtol=0, atol=1e-6)


def test_null_and_nan_are_missing(client: Client) -> None:
    data = HAND.tolist()
    answers = []
    for missing in (None, float("nan"), 0.0):
        data[0][1] = [[missing] * 3] * 21
        answers.append(probs(sent(client, json.dumps(asked({"data": data})).encode())))
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 1e-6


def test_what_lies_beyond_a_clips_length_counts_for_nothing(client: Client) -> None:
    expected = probs(client.post(INFER, json=asked()))
    hand, times = HAND.copy(), TIMES.copy()
    hand[1, 2], times[1, 2] = np.inf, np.nan
    body = asked({"data": hand.tolist()}, {"data": times.tolist()})
    np.testing.assert_array_equal(probs(sent(client, json.dumps(body).encode())), expected)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (asked({"name": "pose"}), "unknown input 'pose'; this model reads left_hand, right_hand, time_s, aspect"),
        (asked({"name": "time_s"}), "input 'time_s' is given twice"),
        ({"inputs": [tensor("time_s", TIMES)]}, "inputs are missing; give time_s and left_hand or right_hand"),
        ({"inputs": [tensor("right_hand", HAND)]}, "inputs are missing; give time_s and left_hand or right_hand"),
        ({"inputs": []}, "inputs: "),
        ({}, "inputs: "),
        ([], "body: "),
        (asked({"shape": [2, 3, 63]}), "right_hand: expected the shape (2, 3, 21, 3) beside this time_s, got"),
        (asked({"shape": [1, 3, 21, 3]}), "right_hand: expected the shape (2, 3, 21, 3) beside this time_s, got"),
        (asked({}, {"shape": [6]}), "time_s: expected the shape (clips, frames)"),
        (asked({}, {}, {"shape": [2, 1]}), "lengths: expected the shape (2,)"),
        (asked({"shape": [2, -3, 21, 3]}), "inputs.0.shape.1: "),
        (asked({"shape": [2, 0, 21, 3]}), "inputs.0.shape.1: "),
        (asked({"shape": [2, 3.0, 21, 3]}), "inputs.0.shape.1: "),
        (asked({"shape": [True, 3, 21, 3]}), "inputs.0.shape.0: "),
        (asked({"shape": [2**32, 2**32, 2**31, 2**31]}), "inputs.0.shape.0: "),
        (asked({"shape": [10**4000, 1]}), "inputs.0.shape.0: "),
        (asked({"shape": [1] * 1000}), "inputs.0.shape: "),
        (asked({"shape": "2, 3"}), "inputs.0.shape: "),
        (asked({"datatype": "BYTES"}), "right_hand: datatype 'BYTES' is not read; send FP32 or FP64 or FP16"),
        (asked({"datatype": "INT64"}), "right_hand: datatype 'INT64' is not read"),
        (asked({"datatype": "FP4"}), "right_hand: datatype 'FP4' is not read"),
        (asked({}, {}, {"datatype": "FP32"}), "lengths: datatype 'FP32' is not read; send INT64 or INT32"),
        (asked({"data": HAND.ravel().tolist()[:-1]}), "right_hand: 'data' is neither a flat list of 378 numbers"),
        (asked({"data": [*HAND.tolist(), 1]}), "right_hand: 'data' is neither a flat list of 378 numbers"),
        (asked({"data": [HAND.tolist()]}), "right_hand: 'data' is neither a flat list of 378 numbers"),
        (asked({"data": ["0.5"] * 378}), "right_hand: 'data' has values that are no FP32"),
        (asked({"data": [True] * 378}), "right_hand: 'data' has values that are no FP32"),
        (asked({"data": [{}] * 378}), "right_hand: 'data' has values that are no FP32"),
        (asked({"data": [[]] * 378}), "right_hand: 'data' is neither"),
        (asked({"data": [[1], *[0] * 377]}), "right_hand: 'data' has values that are no FP32"),
        (asked({"data": [10**400] * 378}), "right_hand: 'data' has values that are no FP32"),
        (asked({"data": [1e39] * 378}), "right_hand: infinite numbers; send NaN"),
        (asked({"data": [float("-inf")] * 378}), "right_hand: infinite numbers; send NaN"),
        (asked({"data": [1e5] * 378, "datatype": "FP16"}), "right_hand: infinite numbers; send NaN"),
        (asked({"data": None}), "right_hand: give either 'data' or the parameter 'binary_data_size'"),
        (asked({"data": "abc"}), "inputs.0.data: "),
        (asked({"parameters": {"shared_memory_region": "mine"}}), "right_hand: shared memory is not read"),
        (asked({}, {"data": [0, 1, 2, 0, 2, 2]}, {"data": [3, 3]}), "'time_s' needs 3 finite numbers that increase"),
        (asked({}, {"data": [0, 1, 2, 2, 1, 3]}), "'time_s' needs 2 finite numbers that increase"),
        (asked({}, {"data": [0, None, 2, 0, 1, 2]}), "'time_s' needs 3 finite numbers that increase"),
        (asked({}, {"data": [0, 1, float("inf"), 0, 1, 2]}), "'time_s' needs 3 finite numbers that increase"),
        (asked({}, {"data": [0, 1, 1e300, 0, 1, 2], "datatype": "FP64"}), "'time_s' needs 3 finite numbers"),
        (asked({}, {}, {"data": [0, 3]}), "lengths: each must be 1 to 3"),
        (asked({}, {}, {"data": [4, 3]}), "lengths: each must be 1 to 3"),
        (asked({}, {}, {"data": [-1, 3]}), "lengths: each must be 1 to 3"),
        (asked({}, {}, {"data": [2.5, 3]}), "lengths: 'data' has values that are no INT64"),
        (asked({}, {}, {"data": [None, 3]}), "lengths: 'data' has values that are no INT64"),
        (asked({}, {}, {"data": [2**70, 3]}), "lengths: 'data' has values that are no INT64"),
        (asked({}, {}, tensor("aspect", np.array([1, 0], "f4"))), "aspect: each must be between 0.05 and 20"),
        (asked({}, {}, tensor("aspect", np.array([1, np.nan], "f4"))), "aspect: each must be between 0.05 and 20"),
        (asked(outputs=[{"name": "logits"}]), "output 'logits' is unknown or named twice; there are probs, label"),
        (asked(outputs=[{"name": "probs"}] * 2), "output 'probs' is unknown or named twice"),
        (asked(outputs=[{"name": "probs"}] * 1000), "outputs: "),
        (asked(outputs=[{"name": "probs", "parameters": {"shared_memory_region": "a"}}]), "no shared memory"),
        (asked(id="x" * 1001), "id: "),
        (asked(id=7), "id: "),
    ],
)  # fmt: skip
def test_tensors_that_make_no_sense_are_refused_with_what_to_change(
    refused: Callable[..., str], body: Mapping[str, Any], detail: str
) -> None:
    assert detail in refused(json.dumps(body).encode())


def test_clips_beyond_the_limits_are_refused_before_their_data_are_looked_at(refused: Callable[..., str]) -> None:
    def shaped(clips: int, frames: int) -> dict[str, Any]:
        return asked({"shape": [clips, frames, 21, 3]}, {"shape": [clips, frames]}, {"shape": [clips]})

    assert "257 clips in one request, over 256" in refused(shaped(257, 1), 413)
    assert "a clip of 10001 frames, over 10000" in refused(shaped(1, 10001), 413)
    assert "clips x frames of the longest is over 50000" in refused(shaped(200, 5000), 413)
    assert "2147483648 clips in one request" in refused(shaped(2**31, 2**31), 413)


@pytest.mark.parametrize(
    ("json_bytes", "detail"),
    [
        ("nonsense", "Inference-Header-Content-Length must be the bytes of JSON"),
        ("-1", "Inference-Header-Content-Length must be the bytes of JSON"),
        ("1.5", "Inference-Header-Content-Length must be the bytes of JSON"),
        ("9" * 5000, "Inference-Header-Content-Length must be the bytes of JSON"),
        (len(binary()[0]) + 1, "Inference-Header-Content-Length must be the bytes of JSON"),
        (0, "the body is no JSON"),
        (binary()[1] - 1, "the body is no JSON"),
        (binary()[1] + 1, "the body is no JSON"),
        (len(binary()[0]), "the body is no JSON"),
        (None, "the body is no JSON"),
    ],
    ids=str,
)
def test_json_that_does_not_end_where_the_header_says_is_refused(
    refused: Callable[..., str], json_bytes: object, detail: str
) -> None:
    assert detail in refused(binary()[0], 400, json_bytes)


@pytest.mark.parametrize(
    ("size", "status", "detail"),
    [
        (HAND.nbytes - 4, 400, "binary_data_size of all inputs is not what follows the JSON"),
        (HAND.nbytes + 4, 400, "binary_data_size of all inputs is not what follows the JSON"),
        (0, 400, "binary_data_size of all inputs is not what follows the JSON"),
        (2**62, 400, "binary_data_size of all inputs is not what follows the JSON"),
        (-4, 422, "inputs.0.parameters.binary_data_size: "),
        (2**64, 422, "inputs.0.parameters.binary_data_size: "),
        (10**4000, 422, "inputs.0.parameters.binary_data_size: "),
        (4.5, 422, "inputs.0.parameters.binary_data_size: "),
        ("8", 422, "inputs.0.parameters.binary_data_size: "),
    ],
    ids=[*"abcdefghi"],
)
def test_sizes_that_do_not_add_up_are_refused(
    refused: Callable[..., str], size: object, status: int, detail: str
) -> None:
    body, json_bytes = binary(parameters={"binary_data_size": size})
    assert detail in refused(body, status, json_bytes)


def test_bytes_that_are_not_those_of_shape_and_datatype_are_refused(refused: Callable[..., str]) -> None:
    body, json_bytes = binary(datatype="FP64")
    assert refused(body, 422, json_bytes) == "right_hand: 1512 bytes, but its shape and datatype take 3024"
    body, json_bytes = binary(data=HAND.tolist())
    assert "give either 'data' or the parameter 'binary_data_size'" in refused(body, 422, json_bytes)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs":' * 10_000, b'"\\ud800"', b"9" * 5000]
)
def test_what_is_no_json_is_refused(refused: Callable[..., str], body: bytes) -> None:
    assert "the body is no JSON" in refused(body, 400)


def test_lists_that_are_nested_deeply_are_refused(refused: Callable[..., str]) -> None:
    deep: Any = 0.5
    for _ in range(150):
        deep = [deep]
    assert "right_hand: 'data' " in refused(asked({"data": deep}))


def test_compressed_and_large_bodies_are_refused(refused: Callable[..., str]) -> None:
    for encoding in ("gzip", "deflate"):
        assert "compressed" in refused(asked(), 415, **{"content-encoding": encoding})
    assert "over 1048576 bytes" in refused(b" " * ((1 << 20) + 1), 413)


@settings(deadline=None, max_examples=250)
@given(
    st.lists(st.tuples(st.integers(0, 1 << 10), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4),
    st.integers(-3, 3) | st.none(),
)
def test_bytes_changed_anywhere_never_end_the_server(
    client: Client, changes: list[tuple[int, bytes, int]], shift: int | None
) -> None:
    body, json_bytes = binary(HAND[:1, :1], TIMES[:1, :1])  # about as much JSON as data
    for place, put, taken in changes:
        place %= len(body)
        body = body[:place] + put + body[place + taken :]
    answer = sent(client, body, None if shift is None else json_bytes + shift)
    assert answer.status_code in (200, 400, 413, 422), answer.text


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_ANYTHING = st.recursive(_SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(max_size=3), of))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_values_changed_anywhere_never_end_the_server(client: Client, data: st.DataObject) -> None:
    body = asked(id="1", parameters={"binary_data_output": False}, outputs=[{"name": "probs", "parameters": {}}])
    for _ in range(data.draw(st.integers(1, 3))):
        inside: Any = body
        while True:
            key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
            if not isinstance(inside[key], dict | list) or not inside[key] or data.draw(st.booleans()):
                break
            inside = inside[key]
        inside[key] = data.draw(_ANYTHING)
    answer = sent(client, json.dumps(body).encode())
    assert answer.status_code in (200, 400, 413, 422), answer.text
