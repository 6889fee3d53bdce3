"""If these fail, the same clip gets another answer as npy or Arrow than as JSON, or a body can hurt the server."""

import gc
import io
import json
from collections.abc import Callable

import httpx
import numpy as np
import pyarrow as pa
import pytest

from serve.api import make_api
from serve.bodies import ARROW, NPY
from serve.bodies.nested import of_json
from serve.bodies.npy import read_npy
from serve.problems import ProblemError
from serve.schemas import Wanted
from serve.settings import Limits
from sigflow.bundle import Bundle, read_bundle
from sigflow.storage import Location
from tests.serve.shelves import shelf_of
from tests.serve.test_api import PREDICT, Client, one, problem

POINTS = np.random.default_rng(0).uniform(0.2, 0.8, (5, 21, 3)).astype(np.float32)
ArrowBody = Callable[..., bytes]


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def client(bundle: Bundle) -> Client:
    return Client(make_api(shelf_of(bundle, limits=Limits(body_bytes=1 << 20))))


def arrow(
    *, compression: str | None = None, hands: object = None, times: object = None, aspect: float = 1.5, rows: int = 1
) -> bytes:
    frames = [None if np.isnan(frame).any() else frame.ravel().tolist() for frame in POINTS]
    columns = {
        "right_hand": pa.array([hands or frames] * rows, pa.list_(pa.list_(pa.float32(), 63))),
        "time_ms": pa.array([times or [0.0, 40.0, 80.0, 120.0, 160.0]] * rows, pa.list_(pa.float64())),
        "aspect": pa.array([aspect] * rows, pa.float64()),
        "more": pa.array(["what a client has"] * rows),
    }
    table = pa.table(columns)
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def send(client: Client, body: bytes, media_type: str, query: str = "", **headers: str) -> httpx.Response:
    return client.post(PREDICT + query, content=body, headers={"content-type": media_type, **headers})


def test_arrow_rows_are_answered_as_the_same_clips_in_json(client: Client) -> None:
    body = one(landmarks={"right_hand": POINTS.tolist()}, fps=25, aspect=1.5)
    (expected,) = client.post(PREDICT, json=body).json()["predictions"]
    answer = send(client, arrow(rows=3), ARROW, "?top_k=3")
    assert answer.status_code == 200, answer.text
    for given in answer.json()["predictions"]:
        assert given["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
        assert given["found"] == 1.0
    gaps = [None, *(frame.ravel().tolist() for frame in POINTS[1:])]
    (given,) = send(client, arrow(hands=gaps), ARROW).json()["predictions"]
    (expected,) = client.post(
        PREDICT, json=one(landmarks={"right_hand": [None, *POINTS[1:].tolist()]}, fps=25, aspect=1.5)
    ).json()["predictions"]
    assert given["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "no Arrow stream"),
        (b"hello", 400, "no Arrow stream"),
        (arrow()[:-300], 400, "no Arrow stream"),
        (arrow(compression="zstd"), 415, "compressed Arrow buffers"),
        (arrow(rows=300), 413, "300 clips in one request"),
        (arrow(times=[0.0, 1.0]), 422, "expected 2 frames"),
        (arrow(times=[0.0, 1.0, 1.0, 2.0, 3.0]), 422, "finite numbers that increase"),
        (arrow(aspect=0), 422, "aspect between"),
        (arrow(hands=[[float("inf")] * 63] * 5), 422, "infinite numbers"),
    ],
    ids=["empty", "text", "cut", "zstd", "many", "times", "order", "aspect", "infinite"],
)
def test_what_is_no_clip_in_arrow_is_refused(client: Client, body: bytes, status: int, detail: str) -> None:
    assert detail in problem(send(client, body, ARROW), status)


def test_bytes_changed_anywhere_in_an_arrow_body_never_end_the_server(client: Client) -> None:
    whole, rng = arrow(rows=2), np.random.default_rng(0)
    for _ in range(300):
        body = bytearray(whole)
        for place in rng.integers(0, len(body), 3):
            body[place] = int(rng.integers(256))
        assert send(client, bytes(body), ARROW).status_code in (200, 400, 413, 415, 422)


def test_npy_is_for_models_of_one_part(client: Client) -> None:
    detail = problem(send(client, npy(POINTS), NPY, "?fps=25"), 422)
    assert detail == "npy is for models of one part; this one reads left_hand, right_hand: send JSON or Arrow"


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ">f4", "i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numbers_are_read_whatever_their_kind(dtype: str, order: str) -> None:
    array = np.array(np.arange(24).reshape(2, 3, 4), dtype=np.dtype(dtype), order="F" if order == "F" else "C")
    assert (read_npy(npy(array)) == np.arange(24).reshape(2, 3, 4)).all()


def test_an_npy_body_cannot_carry_objects_or_claim_more_than_it_holds() -> None:
    header = npy(np.zeros((2, 3), np.float32))
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], object), allow_pickle=True)
    hostile = [
        stream.getvalue(),
        header.replace(b"(2, 3)", b"(9, 9)"),
        header.replace(b"(2, 3), }            ", b"(10**99, 10**99), }"),
        header.replace(b"(2, 3)", b"(2,-3)"),
        header.replace(b"<f4", b"|O8"),
        header.replace(b"<f4", b"<U1"),
        header[:20],
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"",
    ]
    for body in hostile:
        with pytest.raises(ProblemError) as refused:
            read_npy(body)
        assert refused.value.status == 400


def test_other_media_types_and_encodings_are_refused_with_those_that_are_read(client: Client) -> None:
    assert "application/x-npy" in problem(send(client, b"x", "text/csv"), 415)
    assert "Content-Encoding" in problem(send(client, b"x", ARROW, **{"content-encoding": "gzip"}), 415)


def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(client: Client) -> None:
    large = b" " * ((1 << 20) + 1)
    assert "over 1048576 bytes" in problem(send(client, large, "application/json"), 413)
    assert "over 1048576 bytes" in problem(
        client.post(PREDICT, content=large, headers={"content-length": "nonsense"}), 413
    )


def test_query_parameters_are_checked(client: Client) -> None:
    assert "unknown query parameter 'topk'" in problem(send(client, arrow(), ARROW, "?topk=3"), 422)
    assert "top_k" in problem(send(client, arrow(), ARROW, "?top_k=0"), 422)
    assert "leave out the query" in problem(client.post(PREDICT + "?top_k=3", json=one()), 422)


def test_of_a_json_clip_that_waits_only_its_numbers_are_kept() -> None:
    """The lists that it was take thirty times its bytes."""
    body, shapes = json.dumps(one(landmarks={"right_hand": POINTS.tolist()}, top_k=2)).encode(), {"right_hand": (21, 3)}
    (clip,), wanted = of_json(body, shapes, Limits())
    assert type(wanted) is Wanted
    assert wanted.top_k == 2
    np.testing.assert_array_equal(clip.parts["right_hand"], POINTS)
    with pytest.raises(ProblemError):
        of_json(body[:-1], shapes, Limits())
    assert gc.isenabled()
