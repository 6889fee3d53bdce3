"""If these fail, clients of Triton and KServe get no answers, or others than sigflow's own clients.

The client is NVIDIA's, as it is, over real HTTP.
"""

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import uvicorn

from serve.api import make_api
from serve.hosting.batching import Batcher
from serve.hosting.shelf import Model, Shelf
from serve.settings import Limits, Served
from serve.telemetry.signals import Signals
from sigflow.bundle import Bundle, read_bundle
from sigflow.predictor import ClipInput, batch_inputs
from sigflow.storage import Location
from tests.serve.hosting.test_batching import Held
from tests.serve.hosting.test_batching import clip as one_hand
from tests.serve.shelves import renamed, shelf_of
from tests.serve.test_api import Client
from tests.serve.tiny import HANDS, SENTENCES, VOTES, clips_of, tiny


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def shelf(bundle: Bundle) -> Shelf:
    others = (tiny("sentences", SENTENCES, task="sentences"), tiny("votes", VOTES))
    return shelf_of(bundle, renamed(bundle, version="older"), *others)


@pytest.fixture(scope="module")
def address(shelf: Shelf) -> Iterator[str]:
    """Of a server in a thread."""
    server = uvicorn.Server(uvicorn.Config(make_api(shelf), port=0, ws="none", lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address, concurrency=4) as client:
        yield client


def inputs_of(arrays: dict[str, np.ndarray], *, binary: bool = True) -> list[Any]:
    found = []
    for name, array in arrays.items():
        found.append(triton.InferInput(name, list(array.shape), triton.np_to_triton_dtype(array.dtype)))
        found[-1].set_data_from_numpy(array, binary_data=binary)
    return found


def packed(arrays: dict[str, np.ndarray], *names: str) -> dict[str, Any]:
    """What httpx posts for these inputs and outputs; the body is the client's."""
    outputs = [triton.InferRequestedOutput(name) for name in names]
    body, json_bytes = triton.InferenceServerClient.generate_request_body(inputs_of(arrays), outputs=outputs)
    return {"content": body, "headers": {"Inference-Header-Content-Length": str(json_bytes)}}


def natively(address: str, clips: Sequence[ClipInput]) -> np.ndarray:
    """Probabilities by sigflow's own protocol, (B, K)."""
    instances = [
        {
            "landmarks": {
                part: [None if np.isnan(frame[0, 0]) else frame.tolist() for frame in points]
                for part, points in clip.parts.items()
            },
            "time_ms": [time * 1000 for time in clip.time_s.tolist()],
            "aspect": clip.aspect,
        }
        for clip in clips
    ]
    body = {"instances": instances, "top_k": 1000}
    given = httpx.post(f"http://{address}/v1/models/gestures/versions/1a2b3c:predict", json=body).json()["predictions"]
    labels = httpx.get(f"http://{address}/v1/models/gestures").json()["labels"]
    return np.array([[one["probabilities"][label] for label in labels] for one in given])


def probs(client: Any, arrays: dict[str, np.ndarray], **options: Any) -> np.ndarray:
    found: np.ndarray = client.infer("gestures", inputs_of(arrays), **options).as_numpy("probs")
    return found


def test_a_client_learns_that_the_server_lives_and_what_it_can(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata() == {"name": "sigflow", "version": "1", "extensions": ["binary_tensor_data"]}
    assert client.is_model_ready("gestures")
    assert client.is_model_ready("gestures", "older")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("gestures", "other")


def test_a_server_without_bundles_lives_and_is_not_ready() -> None:
    empty = Client(make_api(Shelf()))
    assert empty.get("/v2/health/live").status_code == 200
    assert empty.get("/v2/health/ready").status_code == 503


@pytest.mark.parametrize("version", ["", "1a2b3c"])
def test_a_client_learns_names_types_and_shapes_of_tensors(client: Any, bundle: Bundle, version: str) -> None:
    model = client.get_model_metadata("gestures", version)
    assert (model["name"], model["versions"], model["platform"]) == ("gestures", ["1a2b3c", "older"], "onnx_onnxv1")
    assert {each["name"]: (each["datatype"], each["shape"]) for each in model["inputs"]} == {
        "left_hand": ("FP32", [-1, -1, 21, 3]),
        "right_hand": ("FP32", [-1, -1, 21, 3]),
        "time_s": ("FP32", [-1, -1]),
        "aspect": ("FP32", [-1]),
        "lengths": ("INT64", [-1]),
    }
    assert {each["name"]: (each["datatype"], each["shape"]) for each in model["outputs"]} == {
        "probs": ("FP32", [-1, len(bundle.manifest.labels)]),
        "label": ("BYTES", [-1]),
    }
    named = {each["name"]: each["shape"] for each in client.get_model_metadata("sentences")["outputs"]}
    assert named == {"probs": [-1, -1, 3], "log_probs": [-1, -1, 3], "label": [-1]}
    assert {"name": "votes", "datatype": "FP32", "shape": [-1, 2, 3]} in client.get_model_metadata("votes")["outputs"]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_clips_of_different_lengths_get_the_answers_of_the_native_protocol(
    client: Any, address: str, binary: bool
) -> None:
    clips = clips_of(30, 7, 1, 18)
    sent = inputs_of(batch_inputs(clips, HANDS), binary=binary)
    result = client.infer("gestures", sent, "1a2b3c", request_id="7", priority=1, parameters={"mine": "x"})
    found = result.as_numpy("probs")
    expected = natively(address, clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.abs(expected[:, None] - expected).max(-1)[~np.eye(len(clips), dtype=bool)].min() > 1e-5
    said = result.get_response()
    assert (said["model_name"], said["model_version"], said["id"]) == ("gestures", "1a2b3c", "7")


def test_outputs_are_those_asked_for_each_as_asked_for(client: Any, bundle: Bundle) -> None:
    asked = [triton.InferRequestedOutput("label"), triton.InferRequestedOutput("probs", binary_data=False)]
    sent = inputs_of(batch_inputs(clips_of(12, 9), HANDS))
    result = client.infer("gestures", sent, outputs=asked)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["label", "probs"]
    assert "data" in result.get_output("probs")
    names = [bundle.manifest.labels[best] for best in result.as_numpy("probs").argmax(1)]
    assert [name.decode() for name in result.as_numpy("label")] == names
    text = client.infer("gestures", sent, outputs=[triton.InferRequestedOutput("label", binary_data=False)])
    assert text.get_output("label")["data"] == names
    (only,) = client.infer("gestures", sent).get_response()["outputs"]
    assert only["name"] == "probs"


def test_inputs_that_are_left_out_have_the_defaults_of_the_native_protocol(client: Any) -> None:
    (clip,) = clips_of(14)
    whole = batch_inputs([ClipInput({"right_hand": clip.parts["right_hand"]}, clip.time_s, 4 / 3)], HANDS)
    short = {name: whole[name] for name in ("right_hand", "time_s")}
    np.testing.assert_allclose(probs(client, short), probs(client, whole), rtol=0, atol=1e-6)


def test_other_types_of_numbers_are_read(client: Any) -> None:
    arrays = batch_inputs(clips_of(14, 9), HANDS)
    expected = probs(client, arrays)
    wide = {name: array.astype("i4" if name == "lengths" else "f8") for name, array in arrays.items()}
    np.testing.assert_allclose(probs(client, wide), expected, rtol=0, atol=1e-6)
    half = {name: array.astype("f2") if name in HANDS else array for name, array in arrays.items()}
    np.testing.assert_allclose(probs(client, half), expected, rtol=0, atol=2e-2)


def test_votes_of_members_come_when_they_are_asked_for(client: Any) -> None:
    sent = inputs_of(
        {name: array for name, array in batch_inputs(clips_of(4, 3), HANDS).items() if "right" not in name}
    )
    result = client.infer("votes", sent, outputs=[triton.InferRequestedOutput(name) for name in ("votes", "probs")])
    votes = result.as_numpy("votes")
    assert votes.shape == (2, 2, 3)
    np.testing.assert_allclose(votes.mean(1), result.as_numpy("probs"), atol=1e-6)
    with pytest.raises(triton.InferenceServerException, match="there are probs, label"):
        client.infer("gestures", sent, outputs=[triton.InferRequestedOutput("votes")])


def test_of_sentences_frames_come_padded_with_logarithms_and_glosses(client: Any) -> None:
    hands = np.full((2, 5, 21, 3), np.nan, np.float32)
    for row, frame, best in ((0, 0, 1), (0, 1, 0), (0, 2, 2), (1, 0, 2), (1, 1, 2), (1, 4, 1)):
        hands[row, frame] = np.eye(3)[best] * 40
    times_BT = np.tile(np.arange(5, dtype=np.float32), (2, 1))
    sent = inputs_of({"left_hand": hands, "time_s": times_BT, "lengths": np.array([3, 2])})
    names = ("probs", "log_probs", "label")
    result = client.infer("sentences", sent, outputs=[triton.InferRequestedOutput(name) for name in names])
    frames = result.as_numpy("probs")
    assert frames.shape == (2, 5, 3)
    assert frames[0].argmax(1).tolist() == [1, 0, 2, 0, 0]
    np.testing.assert_allclose(frames.sum(2), [[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(result.as_numpy("log_probs"), np.log(np.maximum(frames, 1e-12)), rtol=1e-6)
    assert result.as_numpy("label").tolist() == [b"left right", b"right"]


def test_what_is_wrong_reaches_the_clients_user(client: Any) -> None:
    arrays = batch_inputs(clips_of(5), HANDS)
    sent = inputs_of(arrays)

    def refused(status: int, *words: Any, model: str = "gestures", **options: Any) -> str:
        with pytest.raises(triton.InferenceServerException) as error:
            client.infer(model, *words, **options)
        assert error.value.status() == str(status)
        message: str = error.value.message()
        return message

    assert refused(404, sent, model="other") == "no model 'other'; there are gestures, sentences, votes"
    assert refused(404, sent, "3") == "no version '3' of 'gestures'; there are 1a2b3c, older"
    wrong = inputs_of(arrays | {"left_hand": arrays["left_hand"][:, :, :20]})
    assert "left_hand: expected the shape (1, 5, 21, 3) beside this time_s, got (1, 5, 20, 3)" in refused(422, wrong)
    assert "compressed" in refused(415, sent, request_compression_algorithm="gzip")
    classes = [triton.InferRequestedOutput("probs", class_count=2)]
    assert "no shared memory or classification here" in refused(422, sent, outputs=classes)
    with pytest.raises(triton.InferenceServerException) as error:
        client.get_model_config("gestures")
    assert (error.value.status(), error.value.message()) == ("404", "Not Found")


def test_many_at_once_get_their_own_answers(client: Any) -> None:
    clips = clips_of(*range(10, 26))
    waiting = [client.async_infer("gestures", inputs_of(batch_inputs([clip], HANDS))) for clip in clips]
    found = np.concatenate([each.get_result().as_numpy("probs") for each in waiting])
    np.testing.assert_allclose(found, probs(client, batch_inputs(clips, HANDS)), rtol=0, atol=1e-6)


def test_both_protocols_share_runs_of_the_graph(exported_bundle: Location) -> None:
    held = Held(exported_bundle)
    api = make_api(Shelf([Model(Served(bundle="here"), held, Batcher(held), Signals(held.manifest))]))
    clip = one_hand(30)
    native = {"landmarks": {"right_hand": clip.parts["right_hand"].tolist()}, "fps": 30}

    async def main() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test") as inside:
            asked = []
            for path, sent in (
                ("/v1/models/gestures:predict", {"json": native}),
                ("/v1/models/gestures:predict", {"json": native}),
                ("/v2/models/gestures/infer", packed(batch_inputs([clip], HANDS))),
            ):
                asked.append(asyncio.create_task(inside.post(path, **sent)))
                for _ in range(100):  # the first is computed before the others come
                    await asyncio.sleep(0)
            held.go.release(10)
            for answer in await asyncio.gather(*asked):
                assert answer.status_code == 200, answer.text

    asyncio.run(main())
    assert held.runs == [[30], [30, 30]]


def test_no_answer_in_time_is_said_so(bundle: Bundle) -> None:
    late = Client(make_api(shelf_of(bundle, limits=Limits(deadline_s=1e-9))))
    answer = late.post("/v2/models/gestures/infer", **packed(batch_inputs(clips_of(30), HANDS)))
    assert answer.status_code == 504
    assert answer.json()["error"] == answer.json()["detail"] == "no answer within 1e-09 s; send less, or later"


def test_an_answer_larger_than_a_request_may_be_is_refused() -> None:
    wide = tiny("wide", SENTENCES, task="sentences", labels=tuple(map(str, range(200))))
    small = Client(make_api(shelf_of(wide, limits=Limits(body_bytes=100_000))))
    hand, times = np.zeros((1, 200, 21, 3), np.float16), np.arange(200, dtype=np.float32)[None]
    answers = [
        small.post("/v2/models/wide/infer", **packed({"left_hand": hand, "time_s": times}, name))
        for name in ("probs", "label")
    ]
    assert [answer.status_code for answer in answers] == [413, 200]
    assert "the answer is over 100000 bytes" in answers[0].json()["error"]


def test_the_example_of_the_documentation_runs(address: str) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[3] / "docs/oip.md").read_text(), re.DOTALL)
    exec(code.replace("127.0.0.1:8000", address), {})


def test_the_documentation_has_what_is_sent_and_what_comes_back(address: str) -> None:
    document = httpx.get(f"http://{address}/openapi.json").json()
    operation = document["paths"]["/v2/models/{name}/infer"]["post"]
    assert operation["requestBody"]["content"].keys() == {"application/json", "application/octet-stream"}
    assert operation["responses"]["200"]["content"].keys() == {"application/json", "application/octet-stream"}
    assert {"InferRequest", "InferResponse", "InputTensor", "Problem"} <= document["components"]["schemas"].keys()
