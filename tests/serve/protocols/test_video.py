"""If these fail, a video gets another answer than its landmarks would, or a bundle is asked what it cannot know."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi import FastAPI

from serve.api import make_api
from serve.bodies.arrow import of_table
from serve.hosting.shelf import Shelf, open_model
from serve.protocols.extraction import Extractors
from serve.settings import Limits, Served, Settings
from sigflow.bundle import Bundle, read_bundle
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import Limits as Cost
from sigflow.pipelines.extract import ExtractBlock
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from tests.serve.protocols.uploads import LIMITS, post, serving
from tests.serve.protocols.videos import SIZE, video
from tests.serve.protocols.workers import workers
from tests.serve.shelves import renamed, shelf_of
from tests.serve.test_api import Client, problem

PREDICT = "/v1/models/gestures:predict"
HANDS = ("left_hand", "right_hand")


@pytest.fixture(scope="module")
def api(own_bundle: Bundle) -> Iterator[FastAPI]:
    with serving(own_bundle, LIMITS) as api:
        yield api


@pytest.fixture(scope="module")
def client(api: FastAPI) -> Client:
    return Client(api)


def test_a_video_gets_the_answer_of_its_landmarks_and_they_are_those_of_extraction(
    client: Client, own_bundle: Bundle, sample_videos: Path, tmp_path: Path
) -> None:
    path = sorted(sample_videos.glob("*/victory/*.mp4"))[0]
    answer = post(client, path.read_bytes(), landmarks=True, top_k=2, votes=True)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    (prediction,) = found["predictions"]
    assert (found["model"], found["version"], len(prediction["probabilities"])) == ("gestures", "1a2b3c", 2)
    assert prediction["votes"][0]["probabilities"] == prediction["probabilities"]

    body = {name: found[name] for name in ("landmarks", "time_ms", "aspect")}
    (again,) = client.post(PREDICT, json=body | {"top_k": 2, "votes": True}).json()["predictions"]
    assert again["label"] == prediction["label"]
    assert again["probabilities"] == pytest.approx(prediction["probabilities"], abs=1e-6)
    assert again["found"] == prediction["found"] > 0.5

    row = extracted(path, tmp_path)
    seen = found["video"]
    assert (seen["frames"], seen["width"], seen["height"]) == (row["num_frames"], row["width"], row["height"])
    assert seen["seconds"] == pytest.approx(row["time_ms"][-1] / 1000, abs=1e-3)
    assert seen["same_extractor"] is True
    assert found["time_ms"] == row["time_ms"]
    for part in HANDS:
        points = [None if frame is None else np.reshape(frame, (21, 3)).tolist() for frame in row[part]]
        assert found["landmarks"][part] == points
        assert seen["found"][part] == pytest.approx(1 - points.count(None) / len(points))


def extracted(path: Path, out: Path) -> dict[str, Any]:
    """The row that jobs/extract.py writes of a video, by its own worker."""
    empty = dict.fromkeys(("label", "subject", "split"), pa.scalar(None, pa.string()))
    clip = {"clip_id": [path.name], "source": [str(path)], **{name: [None] for name in empty}, "glosses": [None]}
    clip |= {name: [None] for name in ("source_bytes", "source_modified_ms", "start_s", "end_s")}
    block = ExtractBlock(locate(out), DetectorOptions(), Cost())
    block(pa.table(clip))
    block._extractor.close()
    (file,) = (locate(out) / LANDMARKS_DIR).files(".parquet")
    (row,) = file.read_parquet().to_pylist()
    return dict(row)


def test_landmarks_come_on_request_alone_and_a_version_can_be_asked(client: Client) -> None:
    body = video(range(0, 400, 40), container="webm", codec="libvpx-vp9")
    path = "/v1/models/gestures/versions/1a2b3c:predictVideo"
    answer = client.post(path, content=body, headers={"content-type": "video/webm"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["landmarks"] is None
    assert answer.json()["video"]["found"] == dict.fromkeys(HANDS, 0.0)
    assert answer.json()["predictions"][0]["found"] == 0.0


@pytest.mark.parametrize(
    ("body", "frames", "size"),
    [
        (lambda: video([0, 10, 100, 110, 900]), 5, SIZE),
        (lambda: video([0, 40, 200, 80, 120, 160]), 6, SIZE),
        (lambda: video([10] * 4, container="matroska"), 4, SIZE),
        (lambda: video([0]), 1, SIZE),
        (lambda: video([0, 40, 80], rotation=90), 3, SIZE[::-1]),
    ],
    ids=["variable rate", "backwards", "at one time", "one frame", "on its side"],
)
def test_odd_times_and_turned_pictures_are_read_as_extraction_reads_them(
    client: Client, body: Callable[[], bytes], frames: int, size: tuple[int, int]
) -> None:
    answer = post(client, body(), landmarks=True)
    assert answer.status_code == 200, answer.text
    seen = answer.json()["video"]
    assert (seen["frames"], (seen["width"], seen["height"])) == (frames, size)
    assert (np.diff(answer.json()["time_ms"]) > 0).all()


def test_other_media_and_unknown_parameters_are_refused(client: Client) -> None:
    for media_type in ("application/json", "multipart/form-data; boundary=x", "image/png"):
        assert "send the file itself as the body" in problem(post(client, b"x", media_type), 415)
    assert "unknown query parameter 'fps'" in problem(post(client, b"x", fps=3), 422)
    assert problem(client.post("/v1/models/other:predictVideo", content=b"x"), 404)


@pytest.mark.slow
def test_two_options_share_one_worker_in_turn(own_bundle: Bundle, sample_videos: Path) -> None:
    body = next(sample_videos.glob("*/*/*.mp4")).read_bytes()
    before = workers()
    extractors = Extractors(Limits())
    one_hand = DetectorOptions(num_hands=1)
    for options in (DetectorOptions(), one_hand, one_hand):
        row = asyncio.run(extractors.row(body, options))
        assert row["extractor"][0].as_py() == options.fingerprint
        assert len(workers()) == len(before) + 1
    (clip,) = of_table(row, dict.fromkeys(HANDS, (21, 3)), LIMITS)
    assert clip.found > 0.5
    extractors.close()


@pytest.mark.parametrize(
    ("made_with", "detail"),
    [
        ('{"importer": "npz", "version": 1}', 'imported, or made by another program: {"importer": "npz"'),
        ("by hand", "imported, or made by another program: by hand"),
        (DetectorOptions().fingerprint.replace("fbc2a3", "000000"), "models {'hands': '000000"),
    ],
)
def test_a_bundle_of_other_landmarks_is_not_asked_unless_settings_allow_it(
    exported_bundle: Location, made_with: str, detail: str
) -> None:
    other = renamed(read_bundle(exported_bundle), extractor=made_with)
    client = Client(make_api(shelf_of(other)))
    assert detail in problem(post(client, b"x"), 409)
    allowed = Shelf([open_model(Served(bundle="here", allow_other_extractor=True), other, Settings())])
    assert "the body is empty" in problem(post(Client(make_api(allowed)), b""), 422)


def test_what_no_video_gives_is_not_asked_of_one(own_bundle: Bundle) -> None:
    raw = renamed(own_bundle, parts=("raw",))  # type: ignore[arg-type]
    shelf = shelf_of(own_bundle)
    object.__setattr__(shelf.models[0].predictor, "manifest", raw.manifest)
    assert "reads raw, which no video gives" in problem(post(Client(make_api(shelf)), b"x"), 409)


def test_a_server_without_workers_reads_no_videos(own_bundle: Bundle) -> None:
    client = Client(make_api(shelf_of(own_bundle, limits=Limits(video_workers=0))))
    assert "reads no videos" in problem(post(client, b"x"), 501)


def test_the_documentation_names_the_route_and_its_parameters(client: Client) -> None:
    post_video = client.get("/openapi.json").json()["paths"]["/v1/models/{name}:predictVideo"]["post"]
    assert set(post_video["requestBody"]["content"]) == {"video/mp4", "video/webm", "application/octet-stream"}
    assert {each["name"] for each in post_video["parameters"]} == {"name", "top_k", "threshold", "votes", "landmarks"}
    assert {"408", "409", "413", "501", "504"} <= set(post_video["responses"])
