"""If these fail, a camera's stream tells a sign twice or never, or other things than it was asked for."""

import asyncio
import json

import pytest
from websockets.asyncio.client import connect

from serve.hosting.batching import Batcher
from serve.hosting.shelf import Model, Shelf
from serve.settings import Limits, Served
from serve.telemetry.signals import Signals
from sigflow.bundle import Bundle
from sigflow.predictor import ClipInput
from sigflow.storage import Location
from tests.serve.hosting.test_batching import Held
from tests.serve.protocols.streams import (
    FPS,
    STREAM,
    Serve,
    arrow_of,
    frames_of,
    labels_of,
    opened,
    rest_of,
    talk,
    texts,
)
from tests.serve.shelves import renamed, shelf_of


@pytest.fixture(scope="module")
def address(start: Serve, bundle: Bundle) -> str:
    return start(shelf_of(bundle, limits=Limits(stream_message_frames=600)))


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
        "dropped_frames": 0,
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
