"""What the tests of streams share: a bundle behind a real server, and recorded gestures."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from serve.api import make_api
from serve.hosting.shelf import Shelf
from sigflow.bundle import Bundle, read_bundle
from sigflow.data.clips import load_clips
from sigflow.landmarks.detector import DetectorOptions
from sigflow.pipelines.material import clip_inputs
from sigflow.predictor import ClipInput
from sigflow.storage import Location
from tests.serve.protocols.streams import Serve
from tests.serve.shelves import renamed


@pytest.fixture(scope="module")
def bundle(exported_bundle: Location) -> Bundle:
    return read_bundle(exported_bundle)


@pytest.fixture(scope="module")
def own_bundle(bundle: Bundle) -> Bundle:
    """As if it had been trained on what this installation extracts."""
    return renamed(bundle, extractor=DetectorOptions().fingerprint)


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
def signed(gesture_landmarks: Location) -> list[tuple[str, ClipInput]]:
    """Every gesture of one person, and what it is."""
    clips = load_clips(gesture_landmarks, ("left_hand", "right_hand"))
    people, labels = clips.column("subject"), clips.column("label")
    rows = [row for row in range(len(clips)) if people[row] == "ada"]
    return [(str(labels[row]), clip) for row, clip in zip(rows, clip_inputs(clips, rows), strict=True)]
