"""If these fail, a camera's stream tells a sign twice or never, or one bad client ends the streams of the others."""

import asyncio
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import uvicorn
from fastapi import WebSocket
from starlette.websockets import WebSocketState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from serve.api import make_api
from serve.hosting.batching import Batcher
from serve.hosting.shelf import Model, Shelf
from serve.protocols.session import Session, StreamQuery
from serve.settings import Limits, Served
from serve.telemetry.signals import Signals
from sigflow.bundle import Bundle, read_bundle
from sigflow.data.clips import load_clips
from sigflow.pipelines.material import clip_inputs
from sigflow.predictor import ClipInput
from sigflow.storage import Location
from tests.serve.hosting.test_batching import Held
from tests.serve.shelves import renamed, shelf_of

STREAM = "/v1/models/gestures/stream"
FPS = 25
Message = dict[str, Any]
Serve = Callable[[Shelf], str]


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def start() -> Iterator[Serve]:
    """Serves a shelf on loopback until the module's tests are over; gives the address."""
    servers = []

    def serve(shelf: Shelf) -> str:
        config = uvicorn.Config(make_api(shelf), log_level="warning", lifespan="off", ws_max_size=1 << 20)
        server = uvicorn.Server(config)
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that unread messages soon pile up
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        servers.append((server, thread, listening))
        return f"ws://127.0.0.1:{listening.getsockname()[1]}"

    yield serve
    for server, thread, listening in servers:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address(start: Serve, bundle: Bundle) -> str:
    limits = Limits(stream_message_bytes=200_000, stream_message_frames=600, stream_idle_s=30.0)
    return start(shelf_of(bundle, limits=limits))


@pytest.fixture(scope="module")
def signed(gesture_landmarks: Location) -> list[tuple[str, ClipInput]]:
    """Every gesture of one person, and what it is."""
    clips = load_clips(gesture_landmarks, ("left_hand", "right_hand"))
    people, labels = clips.column("subject"), clips.column("label")
    rows = [row for row in range(len(clips)) if people[row] == "ada"]
    return [(str(labels[row]), clip) for row, clip in zip(rows, clip_inputs(clips, rows), strict=True)]


def frames_of(clips: Sequence[ClipInput], *, rest_s: float = 1.0, from_s: float = 0.0) -> list[Message]:
    """The clips with rests around each, as a client would send them frame by frame."""
    rest: list[Message] = [{}] * int(rest_s * FPS)
    seen = list(rest)
    for clip in clips:
        for number in range(len(clip.time_s)):
            parts = {part: points[number] for part, points in clip.parts.items()}
            seen.append({part: None if np.isnan(it).any() else it.tolist() for part, it in parts.items()})
        seen += rest
    return [{"time_ms": 1000 * (from_s + n / FPS), "landmarks": parts} for n, parts in enumerate(seen)]


def arrow_of(frames: Sequence[Message]) -> bytes:
    cells = [frame["landmarks"].get("right_hand") for frame in frames]
    flat = [None if cell is None else np.ravel(cell).tolist() for cell in cells]
    columns = {
        "right_hand": pa.array([flat], pa.list_(pa.list_(pa.float32(), 63))),
        "time_ms": pa.array([[frame["time_ms"] for frame in frames]], pa.list_(pa.float64())),
        "aspect": pa.array([4 / 3], pa.float64()),
    }
    table, stream = pa.table(columns), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


async def rest_of(client: ClientConnection) -> tuple[list[Message], int | None]:
    """What the server still says, and its close code."""
    told = []
    try:
        while True:
            told.append(json.loads(await client.recv()))
    except ConnectionClosed:
        return told, client.close_code


def talk(uri: str, messages: Sequence[str | bytes]) -> tuple[list[Message], int | None]:
    """Sends all; what is told, and the close code."""

    async def main() -> tuple[list[Message], int | None]:
        async with connect(uri, max_size=None) as client:

            async def send() -> None:
                for message in messages:
                    await client.send(message)

            sending = asyncio.create_task(send())
            told = await rest_of(client)
            await asyncio.gather(sending, return_exceptions=True)
            return told

    return asyncio.run(main())


def texts(frames: Sequence[Message], size: int = 20) -> list[str]:
    blocks = [json.dumps({"frames": list(frames[at : at + size])}) for at in range(0, len(frames), size)]
    return [*blocks, json.dumps({"type": "end"})]


def labels_of(told: Sequence[Message]) -> list[str]:
    return [message["label"] for message in told if message["type"] == "event"]


def test_gestures_with_rests_between_them_are_told_once_each_soon_after_they_end(
    address: str, signed: list[tuple[str, ClipInput]]
) -> None:
    frames = frames_of([clip for _, clip in signed])
    told, code = talk(f"{address}{STREAM}?every_window=1", texts(frames))
    assert (told[0]["type"], told[-1]["type"], code) == ("ready", "closing", 1000)
    assert told[-1]["skipped_windows"] == 0
    ends, now_s = [], 1.0
    for label, clip in signed:
        ends.append((label, now_s + len(clip.time_s) / FPS))
        now_s = ends[-1][1] + 1.0
    events = [message for message in told if message["type"] == "event"]
    assert labels_of(told) == [label for label, _ in ends]
    for event, (_, end_s) in zip(events, ends, strict=True):
        assert event["start_s"] < event["end_s"] <= event["at_s"]
        assert event["start_s"] < end_s
        assert -0.6 < event["at_s"] - end_s < 0.8


def test_one_frame_a_message_several_and_arrow_are_told_the_same(
    address: str, signed: list[tuple[str, ClipInput]]
) -> None:
    frames = frames_of([clip for _, clip in signed[:3]], from_s=1e9)
    end = json.dumps({"type": "end"})
    uri = f"{address}{STREAM}?every_window=true&probabilities=1"
    whole, _ = talk(uri, texts(frames, 500))
    single, _ = talk(uri, [*map(json.dumps, frames), end])
    arrow, _ = talk(uri, [arrow_of(frames[:31]), arrow_of(frames[31:]), end])
    assert len(labels_of(whole)) == 3
    assert whole == single
    assert labels_of(whole) == labels_of(arrow)
    windows = [message for message in whole if message["type"] == "probabilities"]
    assert len(windows) == whole[-1]["windows"]
    quiet = [message for message in windows if message["label"] is None]
    assert quiet
    assert all(message["found"] == 0 and message["probabilities"] == {} for message in quiet)
    assert any(message["found"] > 0.9 and message["label"] for message in windows)


def test_the_first_message_says_who_answers_and_how(address: str) -> None:
    told, _ = talk(f"{address}/v1/models/gestures/versions/1a2b3c/stream", ['{"type": "end"}'])
    ready, closing = told
    assert (ready["model"], ready["version"], ready["task"]) == ("gestures", "1a2b3c", "classification")
    assert ready["parts"] == ["left_hand", "right_hand"]
    assert ready["stream"]["window_s"] > ready["stream"]["hop_s"] > 0
    assert closing == {
        "type": "closing", "reason": "end", "windows": 0, "skipped_windows": 0, "dropped_probabilities": 0,
    }  # fmt: skip


def test_a_gap_ends_a_gesture_and_is_told(address: str, signed: list[tuple[str, ClipInput]]) -> None:
    label, clip = signed[0]
    first, again = frames_of([clip], rest_s=0), frames_of([clip], rest_s=0, from_s=60.0)
    back = frames_of([clip], rest_s=0, from_s=5.0)
    told, code = talk(f"{address}{STREAM}?every_window=1&told=ended", texts([*first, *again, *back]))
    assert [(message["type"], message.get("reason")) for message in told[1:]] == [
        ("event", None), ("reset", "gap"), ("event", None), ("reset", "clock"), ("event", None), ("closing", "end"),
    ]  # fmt: skip
    assert labels_of(told) == [label] * 3
    assert code == 1000


FRAME = [[0.5, 0.5, 0.0]] * 21


@pytest.mark.parametrize(
    ("message", "status", "code", "detail"),
    [
        ("{", 400, 1007, "the message is no JSON"),
        ("[]", 422, 1007, "message: "),
        ("null", 422, 1007, "message: "),
        ("{}", 422, 1007, "give 'time_ms' and 'landmarks' (one frame), or 'frames' (several)"),
        ('{"type": "stop"}', 422, 1007, "type: "),
        ('{"time_ms": NaN}', 422, 1007, "time_ms: "),
        ('{"time_ms": 1e300}', 422, 1007, "time_ms: "),
        ('{"time_ms": 1, "landmarks": {"face": null}}', 422, 1007, "unknown part 'face'; this model reads left_hand"),
        ('{"time_ms": 1, "landmarks": {"right_hand": [[1, 2]]}}', 422, 1007, "right_hand, frame 0: expected 21 points"),
        (json.dumps({"time_ms": 1, "landmarks": {"right_hand": [*FRAME[:20], [0.1, float("nan"), 0.1]]}}), 422, 1007,
         "right_hand, frame 0: not finite"),
        (json.dumps({"frames": [], "aspect": 1.0}), 422, 1007, "with 'frames', give landmarks and aspect in each"),
        (json.dumps({"frames": [{"time_ms": n} for n in range(601)]}), 413, 1009, "601 frames in one message"),
        (json.dumps({"frames": [{"time_ms": n} for n in range(600)]}), 422, 1007, "send fewer a second"),
        (" " * 200_001, 413, 1009, "a message is over 200000 bytes"),
        ("[" * 100_000, 400, 1007, "the message is no JSON"),
        (b"\x00\xff garbage", 400, 1007, "the body is no Arrow stream"),
        (b"", 400, 1007, "the body is no Arrow stream"),
        (b"\xff" * 200_001, 413, 1009, "a message is over 200000 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_message_that_is_wrong_ends_its_own_stream_with_the_reason(
    address: str, message: str | bytes, status: int, code: int, detail: str
) -> None:
    told, closed = talk(address + STREAM, [message])
    (error,) = [each for each in told if each["type"] == "error"]
    assert error["problem"].keys() == {"type", "title", "status", "detail"}
    assert (error["problem"]["status"], closed) == (status, code)
    assert detail in error["problem"]["detail"]


def test_a_message_beyond_the_servers_own_limit_ends_the_stream(address: str) -> None:
    assert talk(address + STREAM, ["x" * ((1 << 20) + 1)])[1] == 1009


def test_unknown_models_versions_and_questions_are_refused_with_what_there_is(address: str) -> None:
    for path, detail in (
        ("/v1/models/signs/stream", "no model 'signs'; there are gestures"),
        ("/v1/models/gestures/versions/9/stream", "no version '9' of 'gestures'; there are 1a2b3c"),
        (f"{STREAM}?probability=1", "unknown query parameter 'probability'"),
        (f"{STREAM}?told=never", "query parameter told"),
    ):
        (error,), code = talk(address + path, [])
        assert detail in error["problem"]["detail"]
        assert code == 1008


async def opened(uri: str) -> ClientConnection:
    """A stream that its server is ready for."""
    client = await connect(uri)
    assert json.loads(await client.recv())["type"] == "ready"
    return client


def test_a_client_that_is_gone_gives_its_place_to_the_next(start: Serve, bundle: Bundle) -> None:
    uri = start(shelf_of(bundle, limits=Limits(streams=2))) + STREAM

    async def main() -> None:
        first, second = await opened(uri), await opened(uri)
        async with connect(uri) as third:
            (error,), code = await rest_of(third)
            assert "2 streams are open" in error["problem"]["detail"]
            assert code == 1013
        await first.send(json.dumps({"time_ms": 0}))
        first.transport.abort()  # in the middle, without a word
        while True:
            async with connect(uri) as fourth:
                if json.loads(await fourth.recv())["type"] == "ready":
                    break
        await second.send('{"type": "end"}')
        assert (await rest_of(second))[1] == 1000

    asyncio.run(main())


def test_a_stream_without_messages_is_ended(start: Serve, bundle: Bundle) -> None:
    told, code = talk(start(shelf_of(bundle, limits=Limits(stream_idle_s=0.2))) + STREAM, ['{"time_ms": 1}'])
    assert (told[-1]["type"], told[-1]["reason"], code) == ("closing", "idle", 1000)


@pytest.mark.slow
def test_a_client_that_does_not_read_is_ended_and_blocks_no_other(
    start: Serve, bundle: Bundle, signed: list[tuple[str, ClipInput]]
) -> None:
    limits = Limits(stream_unsent=8, stream_send_s=0.3, streams=2)
    uri = start(shelf_of(bundle, limits=limits)) + STREAM
    jumps = json.dumps({"frames": [{"time_ms": 10_000 * (n % 2)} for n in range(500)]})

    async def main() -> None:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect(("127.0.0.1", int(uri.split("/")[2].split(":")[1])))
        deaf = await connect(uri, sock=small)
        deaf.transport.pause_reading()

        async def send() -> None:
            while True:
                await deaf.send(jumps)
                await asyncio.sleep(0.01)

        sending = asyncio.create_task(send())
        frames = frames_of([clip for _, clip in signed[:2]])
        async with connect(f"{uri}?every_window=1") as other:
            for text in texts(frames):
                await other.send(text)
            told, code = await rest_of(other)
        assert labels_of(told) == [label for label, _ in signed[:2]]
        assert code == 1000
        places: list[str] = []
        while places != ["ready", "ready"]:  # its own is free as soon as it was given up
            async with connect(uri) as one, connect(uri) as two:
                places = [json.loads(await client.recv())["type"] for client in (one, two)]
        sending.cancel()
        deaf.transport.abort()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(main())


def test_probabilities_that_are_not_read_are_dropped_and_events_are_not(
    bundle: Bundle, signed: list[tuple[str, ClipInput]]
) -> None:
    frames = frames_of([clip for _, clip in signed[:2]], rest_s=4.0)

    async def main() -> list[Message]:
        reads, told = asyncio.Event(), list[Message]()
        messages = iter(texts(frames, 600))

        async def receive() -> Message:
            if client.client_state is WebSocketState.CONNECTING:
                return {"type": "websocket.connect"}
            text = next(messages)
            if "end" in text:  # all but the last windows were recognised, and nothing was read yet
                reads.set()
            return {"type": "websocket.receive", "text": text}

        async def send(message: Any) -> None:
            if message["type"] == "websocket.send":
                await reads.wait()
                told.append(json.loads(message["text"]))

        client = WebSocket({"type": "websocket", "path": "/", "headers": []}, receive, send)
        await client.accept()
        query = StreamQuery(probabilities=True, every_window=True)
        await Session(client, shelf_of(bundle).find("gestures"), query, Limits(stream_unsent=8)).run()
        return told

    told = asyncio.run(main())
    given = sum(message["type"] == "probabilities" for message in told)
    assert given + told[-1]["dropped_probabilities"] == told[-1]["windows"]
    assert told[-1]["dropped_probabilities"] > 20
    assert labels_of(told) == [label for label, _ in signed[:2]]


def test_a_model_that_is_too_slow_has_windows_left_out_and_the_stream_goes_on(
    start: Serve, exported_bundle: Location, signed: list[tuple[str, ClipInput]]
) -> None:
    held = Held(exported_bundle)
    model = Model(Served(bundle="here"), held, Batcher(held), Signals(held.manifest))
    uri = start(Shelf([model], Limits(deadline_s=0.02))) + STREAM
    frames = frames_of([signed[0][1]], rest_s=0)
    told, code = talk(uri, texts(frames))
    assert [message["type"] for message in told] == ["ready", "closing"]
    assert told[-1]["skipped_windows"] > 0
    assert code == 1000
    held.go.release(1000)


def test_a_model_that_is_no_longer_served_answers_its_streams_to_the_end(
    start: Serve, bundle: Bundle, signed: list[tuple[str, ClipInput]]
) -> None:
    shelf, newer = shelf_of(bundle), shelf_of(renamed(bundle, version="newer"))
    uri = start(shelf) + STREAM

    async def main() -> None:
        client = await opened(f"{uri}?every_window=1")
        shelf.put(newer.models)
        for text in texts(frames_of([clip for _, clip in signed[:1]])):
            await client.send(text)
        told, code = await rest_of(client)
        assert (labels_of(told), code) == ([signed[0][0]], 1000)
        async with connect(uri) as other:
            assert json.loads(await other.recv())["version"] == "newer"

    asyncio.run(main())
