"""If these fail, one hostile upload, or one that never comes, takes the server down."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI

from serve.api import make_api
from serve.settings import Limits
from sigflow.bundle import Bundle
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from tests.serve.protocols.uploads import LIMITS, VIDEO, post, serving
from tests.serve.protocols.videos import SIZE, sound, video
from tests.serve.protocols.workers import is_reading, peak_mb, struck, workers
from tests.serve.shelves import shelf_of
from tests.serve.test_api import Client, problem

LARGE = (640, 480)
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def api(own_bundle: Bundle) -> Iterator[FastAPI]:
    with serving(own_bundle, LIMITS) as api:
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


def test_no_more_videos_are_taken_than_may_wait(own_bundle: Bundle) -> None:
    shelf = shelf_of(own_bundle, limits=Limits(waiting_videos=1))
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


def test_a_body_that_does_not_come_ends_in_time(own_bundle: Bundle) -> None:
    async def never() -> Any:
        yield b"x"
        await asyncio.Event().wait()

    client = Client(make_api(shelf_of(own_bundle, limits=Limits(video_deadline_s=0.05))))
    assert "did not come" in problem(client.post(VIDEO, content=never()), 408)


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
    own_bundle: Bundle, long_video: bytes
) -> None:
    with serving(own_bundle, Limits(video_deadline_s=40)) as api:
        with struck(signal.SIGSTOP, 1):
            assert "no landmarks within 40 s" in problem(post(Client(api), long_video), 504)
        assert post(Client(api), video([0])).status_code == 200


@pytest.mark.slow
def test_frames_of_16384_pixels_cost_no_memory(own_bundle: Bundle) -> None:
    before = workers()
    with serving(own_bundle, Limits()) as api:
        problem(post(Client(api), video([0, 40], sizes=[(16384, 8192)])), 413)
        problem(post(Client(api), video([0, 40], sizes=[SIZE, (16384, 8192)])), 422)
        (worker,) = (each for each in workers() if each not in before)
        assert peak_mb(worker) < 500


@pytest.mark.slow
def test_a_worker_that_takes_too_much_memory_is_ended(own_bundle: Bundle, long_video: bytes) -> None:
    with serving(own_bundle, Limits(video_memory_mb=60)) as api:
        assert "took more than 60 MB" in problem(post(Client(api), long_video), 413)
