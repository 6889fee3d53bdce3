"""If these fail, a camera before the page gets no landmarks or no events, or one bad picture ends all streams."""

import asyncio
import json
import signal
from collections.abc import Sequence

import numpy as np
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from serve.hosting.shelf import Shelf, open_model
from serve.settings import Limits, Served, Settings
from sigflow.bundle import Bundle
from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import Extracted
from sigflow.landmarks.live import Camera
from sigflow.landmarks.synthetic import SUBJECTS, render_clip
from sigflow.landmarks.video import Bounds
from tests.landmarks.pictures import jpeg, message
from tests.serve.protocols.streams import Message, Serve, labels_of, opened, rest_of, talk
from tests.serve.protocols.workers import workers
from tests.serve.shelves import renamed, shelf_of
from tests.serve.tiny import tiny_bundle

LIVE, GESTURES = "/v1/models/tiny/streamVideo", "/v1/models/gestures/streamVideo"
END = json.dumps({"type": "end"})
LIMITS = Limits(video_pixels=320 * 240, stream_message_bytes=100_000, live_streams=2)
GREY = jpeg(np.full((120, 160, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    """As if it had been trained on what this installation extracts."""
    return renamed(tiny_bundle(), extractor=DetectorOptions().fingerprint)


@pytest.fixture(scope="module")
def address(start: Serve, tiny: Bundle) -> str:
    return start(shelf_of(tiny, limits=LIMITS))


@pytest.fixture(scope="module")
def gesture() -> list[tuple[float, bytes]]:
    """One gesture with rests around it, as a camera's pictures and their times."""
    clip = render_clip(SUBJECTS[0], "open_close", 0)
    rest = [np.full_like(clip.frames_THWC[0], 90)] * 15
    return [(number / clip.fps, jpeg(frame)) for number, frame in enumerate([*rest, *clip.frames_THWC, *rest])]


async def shown(client: ClientConnection, pictures: Sequence[tuple[float, bytes]]) -> list[Message]:
    """What is told of them; each is sent when the one before it is answered, as the page does."""
    told: list[Message] = []
    for time_s, picture in pictures:
        await client.send(message(time_s, picture))
        while not told or told[-1].get("time_s") != time_s:
            told.append(json.loads(await client.recv()))
            assert told[-1]["type"] != "error", told[-1]
    return told


def show(uri: str, pictures: Sequence[tuple[float, bytes]]) -> tuple[list[Message], int | None]:
    """A whole stream."""

    async def main() -> tuple[list[Message], int | None]:
        async with connect(uri) as client:
            told = await shown(client, pictures)
            await client.send(END)
            rest, code = await rest_of(client)
            return told + rest, code

    return asyncio.run(main())


def landmarks(told: Sequence[Message]) -> list[Message]:
    return [each for each in told if each["type"] == "landmarks"]


@pytest.fixture(scope="module")
def told(address: str, gesture: list[tuple[float, bytes]]) -> list[Message]:
    """By the smallest graph there is."""
    told, code = show(f"{address}{LIVE}?every_window=1&probabilities=1", gesture)
    assert code == 1000
    return told


def test_a_gesture_before_the_camera_is_told_once_by_its_name(
    start: Serve, own_bundle: Bundle, gesture: list[tuple[float, bytes]]
) -> None:
    told, code = show(start(shelf_of(own_bundle)) + GESTURES, gesture)
    assert (labels_of(told), code) == (["open_close"], 1000)


def test_the_first_and_the_last_message_say_who_answers_and_what_was_done(told: list[Message]) -> None:
    assert (told[0]["type"], told[0]["model"]) == ("ready", "tiny")
    assert (told[0]["message_bytes"], told[0]["message_frames"]) == (100_000, 1)
    assert told[-1] == {
        "type": "closing", "reason": "end", "windows": told[-1]["windows"], "skipped_windows": 0,
        "dropped_probabilities": 0, "dropped_frames": 0,
    }  # fmt: skip
    assert told[-1]["windows"] == sum(each["type"] == "probabilities" for each in told) > 5


def test_each_picture_is_answered_with_the_landmarks_that_the_detector_gives(
    told: list[Message], gesture: list[tuple[float, bytes]]
) -> None:
    camera = Camera(DetectorOptions(), {"hands": model_path("hands")}, Bounds())
    seen = 0
    for answer, (time_s, picture) in zip(landmarks(told), gesture, strict=True):
        row = camera.look(picture, time_s, False)
        assert isinstance(row, Extracted)
        assert (answer["time_s"], answer["aspect"]) == (time_s, pytest.approx(320 / 240))
        assert answer["ms"] > 0
        for part in ("left_hand", "right_hand"):
            points = row.columns[part].reshape(21, 3)
            if np.isnan(points).any():
                assert answer["parts"][part] is None
            else:
                np.testing.assert_allclose(answer["parts"][part], points[:, :2], atol=5.1e-5)
                seen += part == "right_hand"
    camera.close()
    assert seen > 20


def test_a_picture_at_the_time_of_the_last_is_answered_alike_and_a_clock_may_jump(
    address: str, gesture: list[tuple[float, bytes]]
) -> None:
    (_, first), (_, second) = gesture[20:22]
    told, code = show(address + LIVE, [(5.0, first), (5.0, second), (5.1, second), (60.0, first), (1.0, first)])
    assert code == 1000
    assert [(each["reason"], each["at_s"]) for each in told if each["type"] == "reset"] == [("gap", 5.1), ("clock", 60)]
    answers = [(each["aspect"], each["parts"]) for each in landmarks(told)]
    assert answers[0] == answers[1] == answers[3] == answers[4]  # begun anew, it is looked at as at first
    assert answers[0] != answers[2]


def test_of_pictures_that_come_too_fast_the_newest_is_looked_at_and_the_others_are_counted(
    address: str, gesture: list[tuple[float, bytes]]
) -> None:
    told, code = talk(address + LIVE, [*(message(*each) for each in gesture[:40]), END])
    answers = landmarks(told)
    assert code == 1000
    assert len(answers) + told[-1]["dropped_frames"] == 40
    assert told[-1]["dropped_frames"] > 0
    assert answers[-1]["time_s"] == gesture[39][0]
    times_s = [each["time_s"] for each in answers]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize(
    ("wrong", "status", "code", "detail"),
    [
        (b"1234567", 422, 1007, "give 8 bytes of time"),
        (b"12345678", 422, 1007, "give 8 bytes of time"),
        (message(float("nan"), GREY), 422, 1007, "the time before the JPEG needs to be finite"),
        (message(1e300, GREY), 422, 1007, "the time before the JPEG needs to be finite"),
        (bytes(100_001), 413, 1009, "a message is over 100000 bytes"),
        ("{", 400, 1007, "the message is no JSON"),
        (json.dumps({"time_ms": 1, "landmarks": {}}), 422, 1007, "landmarks are for /stream"),
    ],
)
def test_a_message_that_is_wrong_ends_its_own_stream_with_the_reason(
    address: str, wrong: str | bytes, status: int, code: int, detail: str
) -> None:
    told, closed = talk(address + LIVE, [wrong])
    assert_ended(told, closed, status, code, detail)


@pytest.mark.parametrize(
    ("pictures", "detail"),
    [
        ([b"no JPEG"], "the picture cannot be read: no whole JPEG"),
        ([GREY[:-30]], "the picture cannot be read: no whole JPEG"),
        ([jpeg(np.zeros((480, 640, 3), np.uint8))], "or one of more than 76800 pixels"),
        ([GREY, jpeg(np.zeros((160, 120, 3), np.uint8))], "a picture of 120x160 after others of 160x120"),
    ],
    ids=["none", "damaged", "too large", "turned"],
)  # fmt: skip
def test_a_picture_that_is_wrong_ends_its_own_stream_with_the_reason(
    address: str, pictures: list[bytes], detail: str
) -> None:
    async def main() -> tuple[list[Message], int | None]:
        async with connect(address + LIVE) as client:
            await shown(client, [(n / 10, each) for n, each in enumerate(pictures[:-1])])
            await client.send(message(1.0, pictures[-1]))
            return await rest_of(client)

    assert_ended(*asyncio.run(main()), 422, 1007, detail)


def assert_ended(told: Sequence[Message], closed: int | None, status: int, code: int, detail: str) -> None:
    assert told[-1]["type"] == "error"
    problem = told[-1]["problem"]
    assert (problem["status"], closed) == (status, code)
    assert detail in problem["detail"]


def test_a_process_that_dies_ends_its_own_stream_and_the_others_live_on(address: str) -> None:
    async def main() -> None:
        before = workers()
        first = await opened(address + LIVE)
        (victim,) = (each for each in workers() if each not in before)
        second = await opened(address + LIVE)
        await shown(second, [(0.0, GREY)])
        victim.send_signal(signal.SIGKILL)
        await first.send(message(0.0, GREY))
        told, code = await rest_of(first)
        assert_ended(told, code, 422, 1007, "this picture ended the process that looks at it")
        await shown(second, [(0.1, GREY)])
        await second.send(END)
        assert (await rest_of(second))[1] == 1000

    asyncio.run(main())


def test_no_more_cameras_are_watched_than_settings_say_and_who_is_gone_makes_room(address: str) -> None:
    async def main() -> None:
        before = workers()
        clients = [await opened(address + LIVE) for _ in range(2)]
        mine = [each for each in workers() if each not in before]
        async with connect(address + LIVE) as third:
            told, code = await rest_of(third)
            assert_ended(told, code, 503, 1013, "server busy: 2 streams are open")
        for client in clients:
            client.transport.abort()  # without a word
        for process in mine:
            await asyncio.to_thread(process.wait, 20)
        while True:
            async with connect(address + LIVE) as fourth:
                if json.loads(await fourth.recv())["type"] == "ready":
                    break

    asyncio.run(main())


def test_landmarks_of_another_extractor_are_not_made_unless_settings_allow_it(start: Serve) -> None:
    other = renamed(tiny_bundle(), extractor="by hand")
    told, code = talk(start(shelf_of(other)) + LIVE, [])
    assert_ended(told, code, 409, 1008, "imported, or made by another program: by hand")
    allowed = Shelf([open_model(Served(bundle="here", allow_other_extractor=True), other, Settings())])
    assert show(start(allowed) + LIVE, [(0.0, GREY)])[1] == 1000


def test_a_server_that_watches_no_cameras_says_so(start: Serve, tiny: Bundle) -> None:
    told, code = talk(start(shelf_of(tiny, limits=Limits(live_streams=0))) + LIVE, [])
    assert_ended(told, code, 501, 1008, "this server watches no cameras")


def test_a_camera_that_shows_nothing_is_ended(start: Serve, tiny: Bundle) -> None:
    told, code = talk(start(shelf_of(tiny, limits=Limits(stream_idle_s=0.2))) + LIVE, [])
    assert (told[-1]["type"], told[-1]["reason"], code) == ("closing", "idle", 1000)


@pytest.mark.slow
def test_a_process_that_takes_too_much_memory_or_hangs_is_ended(start: Serve, tiny: Bundle) -> None:
    small = start(shelf_of(tiny, limits=Limits(video_memory_mb=60)))
    told, code = talk(small + LIVE, [message(0.0, GREY)])
    assert_ended(told, code, 413, 1009, "looking at this picture took more than 60 MB of memory")
    patient = start(shelf_of(tiny, limits=Limits(deadline_s=5.0)))

    async def main() -> None:
        before = workers()
        client = await opened(patient + LIVE)
        (mine,) = (each for each in workers() if each not in before)
        mine.send_signal(signal.SIGSTOP)
        await client.send(message(0.0, GREY))
        told, code = await rest_of(client)
        assert_ended(told, code, 504, 1013, "no landmarks within 5 s")
        assert not psutil.pid_exists(mine.pid)

    asyncio.run(main())
