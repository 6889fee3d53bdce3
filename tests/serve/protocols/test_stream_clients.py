"""If these fail, one client that is broken, gone, deaf or hostile ends the streams of the others."""

import asyncio
import json
import socket
from typing import Any

import pytest
from fastapi import WebSocket
from starlette.websockets import WebSocketState
from websockets.asyncio.client import connect

from serve.protocols.session import Session, StreamQuery
from serve.protocols.stream import Messages
from serve.settings import Limits
from sigflow.bundle import Bundle
from sigflow.predictor import ClipInput
from tests.serve.protocols.streams import STREAM, Message, Serve, frames_of, labels_of, opened, rest_of, talk, texts
from tests.serve.shelves import shelf_of


@pytest.fixture(scope="module")
def address(start: Serve, bundle: Bundle) -> str:
    limits = Limits(stream_message_bytes=200_000, stream_message_frames=600, stream_idle_s=30.0)
    return start(shelf_of(bundle, limits=limits))


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


def test_a_client_that_is_gone_gives_its_place_to_the_next(start: Serve, bundle: Bundle) -> None:
    uri = start(shelf_of(bundle, limits=Limits(streams=2))) + STREAM

    async def main() -> None:
        first, second = await opened(uri), await opened(uri)
        async with connect(uri) as third:
            (error,), code = await rest_of(third)
            assert "server busy: 2 streams are open" in error["problem"]["detail"]
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
        model, limits = shelf_of(bundle).find("gestures"), Limits(stream_unsent=8)
        await Session(client, model, query, limits, Messages(client, model, limits)).run()
        return told

    told = asyncio.run(main())
    given = sum(message["type"] == "probabilities" for message in told)
    assert given + told[-1]["dropped_probabilities"] == told[-1]["windows"]
    assert told[-1]["dropped_probabilities"] > 20
    assert labels_of(told) == [label for label, _ in signed[:2]]
