"""If these fail, clients get wrong answers, answers that they cannot parse, or a server error for their own mistake."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from serve.api import make_api
from sigflow.bundle import Bundle, read_bundle
from sigflow.data.clips import load_clips
from sigflow.predictor import ClipInput, Predictor
from sigflow.storage import Location
from tests.serve.shelves import renamed, shelf_of

PREDICT = "/v1/models/gestures:predict"
FRAME = np.linspace(0.1, 0.9, 63).reshape(21, 3).tolist()
Body = dict[str, Any]


class Client:
    """Asks the application in this process. Starlette's own client deprecates httpx."""

    def __init__(self, api: FastAPI) -> None:
        self._transport = httpx.ASGITransport(api)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def predictor(bundle: Bundle) -> Predictor:
    return Predictor(bundle)


@pytest.fixture(scope="module")
def client(bundle: Bundle) -> Client:
    return Client(make_api(shelf_of(bundle)))


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> list[tuple[ClipInput, Body]]:
    """Recorded clips, and as a client would send them."""
    data = load_clips(gesture_landmarks, ("left_hand", "right_hand"))
    found = []
    for row in range(0, 60, 7):
        frames = slice(int(data.offsets[row]), int(data.offsets[row + 1]))
        parts = {part: points[frames].numpy() for part, points in data.parts.items()}
        clip = ClipInput(parts, data.time_s_S[frames].numpy(), float(data.aspect_N[row]))
        body = {
            "landmarks": {
                part: [None if np.isnan(frame[0, 0]) else frame.tolist() for frame in points]
                for part, points in parts.items()
            },
            "time_ms": [time * 1000 for time in clip.time_s.tolist()],
            "aspect": clip.aspect,
        }
        found.append((clip, body))
    return found


@pytest.fixture
def refused(client: Client) -> Callable[..., str]:
    """Posts what must be refused; the problem's detail."""

    def post(body: Body, status: int = 422, path: str = PREDICT) -> str:
        # Python's own JSON, which writes NaN and Infinity as many clients do.
        answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        return problem(answer, status)

    return post


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() == {"type", "title", "status", "detail"}
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["detail"]
    return str(body["detail"])


def one(**changes: Any) -> Body:
    """A request that is fine, with changes; None leaves a field out."""
    body = {"landmarks": {"right_hand": [FRAME] * 3}, "fps": 30} | changes
    return {key: value for key, value in body.items() if value is not None}


def test_a_load_balancer_can_ask_whether_it_lives_and_is_ready(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready", "models": ["gestures"]}


def test_models_are_listed_with_their_version(client: Client) -> None:
    (listed,) = client.get("/v1/models").json()["models"]
    about = {"precision": "fp32", "share": 1.0, "shadow": False, "on_demand": False}
    assert listed == {"name": "gestures", "version": "1a2b3c"} | about


def test_a_model_says_what_it_takes_and_what_it_answers(client: Client, predictor: Predictor) -> None:
    model = client.get("/v1/models/gestures").json()
    assert model["labels"] == list(predictor.manifest.labels)
    assert model["parts"] == ["left_hand", "right_hand"]
    assert {value["name"] for value in model["inputs"]} == {"left_hand", "right_hand", "time_s", "aspect", "lengths"}
    assert model["versions"] == ["1a2b3c"]
    assert model["metrics"]["measured_on"] == "estimated from OOF"
    assert not {"files", "recipes"} & model.keys()


def test_one_clips_answer_is_the_predictors(
    client: Client, predictor: Predictor, clips: list[tuple[ClipInput, Body]]
) -> None:
    for clip, body in clips[:4]:
        answer = client.post(PREDICT, json=body)
        assert answer.status_code == 200, answer.text
        (prediction,) = answer.json()["predictions"]
        (probs,) = predictor.predict([clip])
        labels = predictor.manifest.labels
        assert prediction["label"] == labels[probs.argmax()]
        assert prediction["probabilities"] == pytest.approx(dict(zip(labels, probs.tolist(), strict=True)), abs=1e-6)
        assert list(prediction["probabilities"]) == [labels[k] for k in probs.argsort()[::-1]]
        assert prediction["found"] == pytest.approx(clip.found)
        assert (answer.json()["model"], answer.json()["version"]) == ("gestures", "1a2b3c")


def test_several_clips_are_answered_in_their_order_as_if_each_came_alone(
    client: Client, clips: list[tuple[ClipInput, Body]]
) -> None:
    together = client.post(PREDICT, json={"instances": [body for _, body in clips]}).json()["predictions"]
    assert len(together) == len(clips)
    assert len({prediction["label"] for prediction in together}) > 1
    for prediction, (_, body) in zip(together, clips, strict=True):
        (alone,) = client.post(PREDICT, json=body).json()["predictions"]
        assert prediction["label"] == alone["label"]
        assert prediction["probabilities"] == pytest.approx(alone["probabilities"], abs=1e-6)


def test_frames_per_second_stand_for_times(client: Client) -> None:
    by_fps = client.post(PREDICT, json=one(fps=25)).json()
    by_time = client.post(PREDICT, json=one(fps=None, time_ms=[1000, 1040, 1080])).json()
    for a, b in zip(by_fps["predictions"], by_time["predictions"], strict=True):
        assert a["probabilities"] == pytest.approx(b["probabilities"], abs=1e-5)


@pytest.mark.parametrize(("top_k", "expected"), [(1, 1), (2, 2), (3, 3), (100, 3)])
def test_the_most_likely_labels_come_first_as_many_as_asked_for(client: Client, top_k: int, expected: int) -> None:
    (prediction,) = client.post(PREDICT, json=one(top_k=top_k)).json()["predictions"]
    values = list(prediction["probabilities"].values())
    assert len(values) == expected
    assert values == sorted(values, reverse=True)
    assert prediction["label"] == next(iter(prediction["probabilities"]))


def test_null_frames_are_missing_frames(client: Client) -> None:
    answer = client.post(PREDICT, json=one(landmarks={"right_hand": [None, FRAME, None, FRAME]}))
    assert answer.json()["predictions"][0]["found"] == 0.5
    nothing = client.post(PREDICT, json=one(landmarks={"left_hand": [None] * 5}))
    assert nothing.status_code == 200
    assert nothing.json()["predictions"][0]["found"] == 0.0


def test_a_clip_of_one_frame_is_answered(client: Client) -> None:
    assert client.post(PREDICT, json=one(landmarks={"right_hand": [FRAME]})).status_code == 200


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"landmarks": {"pose": [FRAME]}}, "unknown part 'pose'; this model reads left_hand, right_hand"),
        ({"landmarks": {"time_s": [FRAME]}}, "unknown part 'time_s'"),
        ({"landmarks": {}}, "'landmarks' is empty; give left_hand or right_hand"),
        ({"landmarks": {"right_hand": []}}, "same number of frames, 1 to 10000"),
        ({"landmarks": {"right_hand": [FRAME] * 3, "left_hand": [None] * 2}}, "same number of frames"),
        ({"landmarks": {"right_hand": [FRAME, FRAME[:20]]}}, "right_hand, frame 1: expected 21 points of x, y, z"),
        ({"landmarks": {"right_hand": [FRAME, [[0.1, 0.2]] * 21]}}, "right_hand, frame 1: expected 21 points"),
        ({"landmarks": {"right_hand": [np.ravel(FRAME).tolist()]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [[*FRAME[:20], [0.1]]]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": ["hand"]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [{"x": 1}]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [3]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [[*FRAME[:20], [0.1, None, 0.1]]]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [[["0.5", "0.5", "0.5"]] * 21]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": [[*FRAME[:20], [10**400, 0, 0]]]}}, "frame 0: "),
        ({"landmarks": {"right_hand": FRAME[0]}}, "frame 0: expected 21 points"),
        ({"landmarks": {"right_hand": 7}}, "landmarks.right_hand: "),
        ({"landmarks": [FRAME]}, "landmarks: "),
        ({"fps": None}, "give either 'fps' or 'time_ms'"),
        ({"time_ms": [0, 10, 20]}, "give either 'fps' or 'time_ms'"),
        ({"fps": 0}, "fps: "),
        ({"fps": -30}, "fps: "),
        ({"fps": 1e6}, "fps: "),
        ({"fps": "fast"}, "fps: "),
        ({"fps": None, "time_ms": [0, 10]}, "needs 3 finite numbers that increase"),
        ({"fps": None, "time_ms": []}, "needs 3 finite numbers that increase"),
        ({"fps": None, "time_ms": [0, 20, 10]}, "needs 3 finite numbers that increase"),
        ({"fps": None, "time_ms": [0, 10, 10]}, "needs 3 finite numbers that increase"),
        ({"fps": None, "time_ms": [0, 10, 1e300]}, "needs 3 finite numbers that increase"),
        ({"fps": None, "time_ms": [-1.7e308, 0, 1.7e308]}, "needs 3 finite numbers that increase"),
        ({"aspect": 0}, "aspect: "),
        ({"aspect": 100}, "aspect: "),
        ({"top_k": 0}, "top_k: "),
        ({"top_k": 1.5}, "top_k: "),
        ({"landmark": {}}, "landmark: extra inputs"),
        ({"instances": []}, "instances: "),
        ({"instances": [one()]}, "give either 'landmarks' (one clip) or 'instances' (several)"),
        ({"landmarks": None}, "give either 'landmarks' (one clip) or 'instances' (several)"),
        ({"landmarks": None, "instances": [one()]}, "with 'instances', give fps, time_ms and aspect in each of them"),
        ({"landmarks": None, "fps": None, "instances": [one(), one(fps=None)]}, "give either 'fps' or 'time_ms'"),
        ({"landmarks": None, "instances": [one(top_k=1)]}, "top_k: extra inputs"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_understood_says_what_to_change(
    refused: Callable[..., str], changes: Body, detail: str
) -> None:
    assert detail.lower() in refused(one(**changes)).lower()


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"landmarks": {"right_hand": [None] * 10_001}}, "a clip of 10001 frames, over 10000"),
        ({"landmarks": None, "fps": None, "instances": [one()] * 257}, "257 clips in one request, over 256"),
        (
            {"landmarks": None, "fps": None, "instances": [one(), one(landmarks={"right_hand": [None] * 9000})] * 3},
            "clips x frames of the longest is over 50000",
        ),
    ],
)
def test_what_is_too_large_is_refused_as_such(refused: Callable[..., str], changes: Body, detail: str) -> None:
    assert detail in refused(one(**changes), 413)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 1e39], ids=str)
def test_numbers_that_are_none_are_refused_and_never_taken_for_missing(
    refused: Callable[..., str], number: float
) -> None:
    broken = [*FRAME[:20], [0.1, number, 0.1]]
    detail = refused(one(landmarks={"right_hand": [FRAME, broken]}))
    assert detail == "right_hand, frame 1: not finite; send null for a frame without detection"


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=str)
def test_times_and_rates_that_are_no_numbers_are_refused(refused: Callable[..., str], number: float) -> None:
    assert "time_ms" in refused(one(fps=None, time_ms=[0, 10, number]))
    assert "fps" in refused(one(fps=number))
    assert "aspect" in refused(one(aspect=number))


def test_an_unknown_model_is_not_found_and_the_known_ones_are_named(
    refused: Callable[..., str], client: Client
) -> None:
    assert refused(one(), 404, "/v1/models/other:predict") == "no model 'other'; there are gestures"
    assert problem(client.get("/v1/models/other"), 404) == "no model 'other'; there are gestures"


def test_even_wrong_addresses_methods_and_bodies_are_answered_as_problems(client: Client) -> None:
    problem(client.get("/v1/nothing"), 404)
    problem(client.request("DELETE", "/v1/models"), 405)
    for content in (b"{", b"", b"[]", b"\xff\xfe", b"null"):
        answer = client.post(PREDICT, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
        problem(answer, answer.status_code)


def test_two_models_answer_under_their_own_names(bundle: Bundle) -> None:
    both = Client(make_api(shelf_of(bundle, renamed(bundle, name="a-second"))))
    assert both.get("/readyz").json()["models"] == ["a-second", "gestures"]
    assert both.post("/v1/models/a-second:predict", json=one()).status_code == 200


def test_a_version_is_asked_by_its_name_whatever_its_share(bundle: Bundle) -> None:
    older = renamed(bundle, version="0old")
    shelf = shelf_of(bundle, older)
    both = Client(make_api(shelf))
    for version in ("1a2b3c", "0old"):
        path = f"/v1/models/gestures/versions/{version}:predict"
        assert both.post(path, json=one()).json()["version"] == version
    assert both.get("/v1/models/gestures").json()["versions"] == ["0old", "1a2b3c"]
    answer = both.post("/v1/models/gestures/versions/none:predict", json=one())
    assert problem(answer, 404) == "no version 'none' of 'gestures'; there are 0old, 1a2b3c"


def test_what_is_less_likely_than_the_threshold_has_no_label(client: Client) -> None:
    (sure,) = client.post(PREDICT, json=one(threshold=0.0)).json()["predictions"]
    (unsure,) = client.post(PREDICT, json=one(threshold=1.0)).json()["predictions"]
    assert sure["label"] is not None
    assert unsure["label"] is None
    assert unsure["probabilities"] == sure["probabilities"]


def test_votes_of_one_member_are_its_answer(client: Client) -> None:
    (prediction,) = client.post(PREDICT, json=one(votes=True)).json()["predictions"]
    (vote,) = prediction["votes"]
    assert vote["weight"] == 1.0
    assert vote["probabilities"] == prediction["probabilities"]
    assert client.post(PREDICT, json=one()).json()["predictions"][0]["votes"] is None


def test_the_documentation_lists_every_address(client: Client) -> None:
    assert {"/healthz", "/readyz", "/v1/models", "/v1/models/{name}", "/v1/models/{name}:predict"} <= set(
        client.get("/openapi.json").json()["paths"]
    )
