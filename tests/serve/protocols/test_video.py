"""If these fail, a video gets another answer than its landmarks would, or one hostile upload takes the server down."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
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
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from sigflow.pipelines.extract import ExtractBlock
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from tests.serve.protocols.videos import SIZE, sound, video
from tests.serve.shelves import renamed, shelf_of
from tests.serve.test_api import Client, problem

PREDICT, VIDEO = "/v1/models/gestures:predict", "/v1/models/gestures:predictVideo"
HANDS = ("left_hand", "right_hand")
LIMITS = Limits(video_bytes=2 << 20, video_pixels=250_000, video_seconds=10, video_frames=170)
LARGE = (640, 480)
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    """As if it had been trained on what this installation extracts."""
    return renamed(read_bundle(exported_bundle), extractor=DetectorOptions().fingerprint)


@pytest.fixture(scope="module")
def api(bundle: Bundle) -> Iterator[FastAPI]:
    with serving(bundle, LIMITS) as api:
        yield api


@pytest.fixture(scope="module")
def client(api: FastAPI) -> Client:
    return Client(api)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """160 frames of a hand: long enough to be interrupted."""
    path = tmp_path_factory.mktemp("videos") / "wave.mp4"
    write_video(path, render_clip(SUBJECTS[0], "wave", 0, num_frames=20).frames_THWC.repeat(8, axis=0), 25)
    return path.read_bytes()


@contextmanager
def serving(bundle: Bundle, limits: Limits) -> Iterator[FastAPI]:
    """The application, ended as a server ends it."""
    api = make_api(shelf_of(bundle, limits=limits))
    before = workers()

    async def end() -> None:
        async with api.router.lifespan_context(api):
            pass

    try:
        yield api
    finally:
        asyncio.run(end())
    assert workers() == before


def post(client: Client, body: bytes, media_type: str = "video/mp4", **query: Any) -> httpx.Response:
    return client.post(VIDEO, content=body, headers={"content-type": media_type}, params=query)


def workers() -> list[psutil.Process]:
    """The processes that extract for this one."""
    return [each for each in psutil.Process().children() if "sigflow.landmarks.isolated" in words_of(each)]


def words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):  # it ends just now
        return process.cmdline()
    return []


def is_reading(worker: psutil.Process) -> bool:
    """Whether it has the upload open, beside the handle that it was started with; its log is open twice always."""
    folder = Path(f"/proc/{worker.pid}/fd")
    with suppress(OSError):  # it ends just now
        names = Counter(os.readlink(file) for file in folder.iterdir())
        return sum(count > 1 and name.endswith("(deleted)") for name, count in names.items()) > 1
    return False


@contextmanager
def struck(number: signal.Signals, times: int) -> Iterator[None]:
    """Meanwhile workers get this signal as soon as they read an upload; so many of them must."""
    done: set[int] = set()
    over = threading.Event()

    def run() -> None:
        while len(done) < times and not over.wait(0.01):
            for worker in workers():
                if worker.pid not in done and is_reading(worker):
                    worker.send_signal(number)
                    done.add(worker.pid)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert len(done) == times


def test_a_video_gets_the_answer_of_its_landmarks_and_they_are_those_of_extraction(
    client: Client, bundle: Bundle, sample_videos: Path, tmp_path: Path
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


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (lambda: b"", 422, "the body is empty"),
        (lambda: b"no video" * 1000, 422, "not a readable video of mov, matroska"),
        (lambda: bytes(100_000), 422, "not a readable video"),
        (sound, 422, "no video stream"),
        (lambda: video(range(0, 400, 40))[:4000], 422, "not a readable video"),
        (lambda: video(range(0, 4000, 40), container="webm", codec="libvpx-vp9")[:2000], 422, "the file was cut off"),
        (lambda: video([0, 40], container="avi"), 422, "not a readable video of mov, matroska"),
        (lambda: video([0, 40], codec="mjpeg", pix_fmt="yuvj420p"), 422, "codec mjpeg is not read"),
        (lambda: video([0, 40], sizes=[LARGE]), 413, "larger than 250000 pixels"),
        (lambda: video([0, 40], sizes=[LARGE], container="webm", codec="libvpx-vp9"), 422, "larger than 250000 pixels"),
        (lambda: video([0, 40], sizes=[SIZE, LARGE], container="webm", codec="libvpx-vp9"), 422, "larger than 250000"),
        (lambda: video([0, 10 * HOUR_MS]), 413, "longer than 10 s"),
        (lambda: video([0, 10 * HOUR_MS], container="matroska", live="1"), 413, "longer than 10 s"),
        (lambda: video(range(0, 1710, 10)), 413, "more than 170 frames"),
        (lambda: video(range(0, 1710, 10), container="matroska", live="1"), 413, "more than 170 frames"),
        (lambda: bytes((2 << 20) + 1), 413, "over 2097152 bytes"),
    ],
)  # fmt: skip
def test_a_hostile_video_is_refused_with_the_reason_and_the_worker_stays(
    client: Client, body: Callable[[], bytes], status: int, detail: str
) -> None:
    before = workers()
    assert detail in problem(post(client, body()), status)
    assert not before or workers() == before


@pytest.mark.parametrize("words", ["#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"])
def test_an_upload_cannot_make_the_server_open_other_files(client: Client, sample_videos: Path, words: str) -> None:
    there = next(sample_videos.glob("*/*/*.mp4"))
    problem(post(client, words.format(there.as_uri()).encode(), "application/octet-stream"), 422)
    problem(post(client, words.format(there).encode(), "application/octet-stream"), 422)


def test_other_media_and_unknown_parameters_are_refused(client: Client) -> None:
    for media_type in ("application/json", "multipart/form-data; boundary=x", "image/png"):
        assert "send the file itself as the body" in problem(post(client, b"x", media_type), 415)
    assert "unknown query parameter 'fps'" in problem(post(client, b"x", fps=3), 422)
    assert problem(client.post("/v1/models/other:predictVideo", content=b"x"), 404)


@pytest.mark.slow
def test_a_worker_that_is_killed_once_is_forgiven_and_twice_is_blamed_on_the_video(
    client: Client, long_video: bytes
) -> None:
    with struck(signal.SIGKILL, 1):
        answer = post(client, long_video)
    assert answer.status_code == 200, answer.text
    assert answer.json()["video"]["frames"] == 160
    with struck(signal.SIGKILL, 2):
        assert "ends the process that reads it" in problem(post(client, long_video), 422)


@pytest.mark.slow
def test_a_client_that_leaves_is_not_worked_for_and_the_next_is_answered(
    client: Client, api: FastAPI, long_video: bytes
) -> None:
    post(client, video([0]))  # a worker is there
    (worker,) = workers()
    sent = [{"type": "http.request", "body": long_video}]
    scope = {"type": "http", "method": "POST", "path": VIDEO, "headers": [], "query_string": b""}

    async def leaves() -> None:
        async def receive() -> dict[str, Any]:
            if sent:
                return sent.pop()
            while not is_reading(worker):
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None: ...

        await api(scope, receive, send)

    asyncio.run(leaves())
    worker.wait(10)
    assert post(client, video([0])).status_code == 200


def test_no_more_videos_are_taken_than_may_wait(bundle: Bundle) -> None:
    shelf = shelf_of(bundle, limits=Limits(waiting_videos=1))
    released = asyncio.Event()
    statuses: list[int] = []

    async def slowly() -> Any:
        await released.wait()
        yield b""

    async def run() -> None:
        transport = httpx.ASGITransport(make_api(shelf))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            waiting = [asyncio.create_task(client.post(VIDEO, content=slowly())) for _ in range(2)]
            await asyncio.sleep(0)
            refused = await client.post(VIDEO, content=b"x")
            assert "too many videos are waiting" in problem(refused, 503)
            assert refused.headers["retry-after"] == "1"
            released.set()
            statuses.extend([(await each).status_code for each in waiting])
            statuses.append((await client.post(VIDEO, content=b"")).status_code)

    asyncio.run(run())
    assert statuses == [422, 422, 422]  # empty, and not too many


def test_a_body_that_does_not_come_ends_in_time(bundle: Bundle) -> None:
    async def never() -> Any:
        yield b"x"
        await asyncio.Event().wait()

    client = Client(make_api(shelf_of(bundle, limits=Limits(video_deadline_s=0.05))))
    assert "did not come" in problem(client.post(VIDEO, content=never()), 408)


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


def test_what_no_video_gives_is_not_asked_of_one(bundle: Bundle) -> None:
    raw = renamed(bundle, parts=("raw",))  # type: ignore[arg-type]
    shelf = shelf_of(bundle)
    object.__setattr__(shelf.models[0].predictor, "manifest", raw.manifest)
    assert "reads raw, which no video gives" in problem(post(Client(make_api(shelf)), b"x"), 409)


def test_a_server_without_workers_reads_no_videos(bundle: Bundle) -> None:
    client = Client(make_api(shelf_of(bundle, limits=Limits(video_workers=0))))
    assert "reads no videos" in problem(post(client, b"x"), 501)


def test_the_documentation_names_the_route_and_its_parameters(client: Client) -> None:
    post_video = client.get("/openapi.json").json()["paths"]["/v1/models/{name}:predictVideo"]["post"]
    assert set(post_video["requestBody"]["content"]) == {"video/mp4", "video/webm", "application/octet-stream"}
    assert {each["name"] for each in post_video["parameters"]} == {"name", "top_k", "threshold", "votes", "landmarks"}
    assert {"408", "409", "413", "501", "504"} <= set(post_video["responses"])


SERVER = """
import asyncio, sys
from pathlib import Path
import serve.api
from serve.protocols.extraction import Extractors
from serve.settings import Limits
from sigflow.landmarks.detector import DetectorOptions

assert not {"mediapipe", "torch"} & set(sys.modules)
asyncio.run(Extractors(Limits()).row(Path(sys.argv[1]).read_bytes(), DetectorOptions()))
"""


@pytest.mark.slow
def test_a_replica_loads_no_detector_and_its_worker_ends_when_it_is_killed(long_video: bytes, tmp_path: Path) -> None:
    (tmp_path / "wave.mp4").write_bytes(long_video)
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path / "wave.mp4")]) as server:
        while not (found := psutil.Process(server.pid).children()) or not is_reading(found[0]):
            assert server.poll() is None
            time.sleep(0.01)
        found[0].suspend()  # as one that hangs in a frame
        server.kill()
    found[0].resume()
    found[0].wait(20)


@pytest.mark.slow
def test_a_worker_that_hangs_is_given_up_in_time_and_the_next_video_is_answered(
    bundle: Bundle, long_video: bytes
) -> None:
    with serving(bundle, Limits(video_deadline_s=40)) as api:
        with struck(signal.SIGSTOP, 1):
            assert "no landmarks within 40 s" in problem(post(Client(api), long_video), 504)
        assert post(Client(api), video([0])).status_code == 200


@pytest.mark.slow
def test_frames_of_16384_pixels_cost_no_memory(bundle: Bundle) -> None:
    before = workers()
    with serving(bundle, Limits()) as api:
        problem(post(Client(api), video([0, 40], sizes=[(16384, 8192)])), 413)
        problem(post(Client(api), video([0, 40], sizes=[SIZE, (16384, 8192)])), 422)
        (worker,) = (each for each in workers() if each not in before)
        assert peak_mb(worker) < 500


@pytest.mark.slow
def test_a_worker_that_takes_too_much_memory_is_ended(bundle: Bundle, long_video: bytes) -> None:
    with serving(bundle, Limits(video_memory_mb=60)) as api:
        assert "took more than 60 MB" in problem(post(Client(api), long_video), 413)


@pytest.mark.slow
def test_two_options_share_one_worker_in_turn(bundle: Bundle, sample_videos: Path) -> None:
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


def peak_mb(process: psutil.Process) -> int:
    """The most memory that it ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10
