"""A camera's stream (`streamVideo`) as the page sends it: JPEG of quality 70, the next when the last one is answered.

Of each picture size, for hands alone and for hands with the pose, at 15 pictures/s at the most, over a pause-free wave
of one hand: `start_s`, from connecting to `ready`; `first_ms`, until the first picture's landmarks; then the pictures/s
that were reached, `ms` a picture as the server tells it, `round_trip_ms` as the client sees it, bytes/s both ways, and
milliseconds of CPU a picture of the server and of the process that looks. `unpaced_per_s`: the next one at once. The
recogniser is the smallest there is. Rendered hands on a plain wall make small pictures: `photo_bytes` is a photograph.
"""

import asyncio
import io
import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import numpy as np
import psutil
import uvicorn
from matplotlib import cbook
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect

from serve.api import make_api
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.synthetic import SUBJECTS, render_clip
from tests.landmarks.pictures import message
from tests.serve.shelves import renamed, shelf_of
from tests.serve.tiny import tiny_bundle

PORT, QUALITY, PER_S, SECONDS = 8123, 70, 15, 15
SIZES = ((320, 240), (640, 480))
MODELS = (("hands",), ("hands", "pose"))


def main() -> None:
    """Each in a server of its own."""
    figures: dict[str, Any] = {}
    photo = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    for size in SIZES:
        name = "{}x{}".format(*size)
        figures[name] = {"photo_bytes": len(encoded(photo.resize(size)))}
        for models in MODELS:
            with subprocess.Popen([sys.executable, "-m", "tests.bench.live", *models]) as server:
                try:
                    figures[name]["+".join(models)] = asyncio.run(measured(psutil.Process(server.pid), size))
                finally:
                    server.terminate()
    print(json.dumps(figures, indent=1))


def encoded(picture: Image.Image) -> bytes:
    """As a canvas does it."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


async def measured(server: psutil.Process, size: tuple[int, int]) -> dict[str, Any]:
    """One stream."""
    frames = render_clip(SUBJECTS[0], "wave", 0, num_frames=30).frames_THWC
    wave = [encoded(Image.fromarray(frame).resize(size)) for frame in [*frames, *frames[::-1]]]
    uri = f"ws://127.0.0.1:{PORT}/v1/models/tiny/streamVideo"
    while True:
        with suppress(OSError):
            async with connect(uri) as client:  # the first of all, so that files are in memory
                await client.recv()
                await asked(client, 0.0, wave[0])
                break
        await asyncio.sleep(0.2)
    begun = time.monotonic()
    async with connect(uri) as client:
        await client.recv()
        start_s = time.monotonic() - begun
        first_ms, *_ = await asked(client, 0.0, wave[0])
        (looking,) = server.children()
        paced: list[tuple[float, float, int, int]] = []
        cpu_s = (spent_s(server), spent_s(looking))
        begun = time.monotonic()
        while (now_s := time.monotonic() - begun) < SECONDS:
            paced.append(await asked(client, 1 + now_s, wave[len(paced) % len(wave)]))
            await asyncio.sleep(max(0.0, begun + len(paced) / PER_S - time.monotonic()))
        seconds = time.monotonic() - begun
        cpu_ms = [1000 * (spent_s(each) - before) for each, before in zip((server, looking), cpu_s, strict=True)]
        begun, unpaced = time.monotonic(), 0
        while (now_s := time.monotonic() - begun) < SECONDS / 3:
            await asked(client, 100 + now_s, wave[unpaced % len(wave)])
            unpaced += 1
    ms, round_ms, up, down = np.array(paced).T
    return {
        "start_s": round(start_s, 2), "first_ms": round(first_ms), "pictures_per_s": round(len(paced) / seconds, 1),
        "ms": spread(ms), "round_trip_ms": spread(round_ms), "picture_bytes": round(float(up.mean())),
        "up_bytes_per_s": round(up.sum() / seconds), "down_bytes_per_s": round(down.sum() / seconds),
        "cpu_ms": {"server": round(cpu_ms[0] / len(paced), 1), "looking": round(cpu_ms[1] / len(paced), 1)},
        "unpaced_per_s": round(unpaced / (SECONDS / 3), 1),
    }  # fmt: skip


async def asked(client: ClientConnection, time_s: float, picture: bytes) -> tuple[float, float, int, int]:
    """The server's ms, the client's, bytes sent, bytes told."""
    begun, sent = time.monotonic(), message(time_s, picture)
    await client.send(sent)
    size = 0
    while True:
        told = str(await client.recv())
        size += len(told)
        answer = json.loads(told)
        if answer["type"] == "landmarks":
            return answer["ms"], 1000 * (time.monotonic() - begun), len(sent), size


def spread(values: np.ndarray) -> dict[str, float]:
    """The usual, and the slow ones."""
    return {"median": round(float(np.median(values)), 1), "p95": round(float(np.quantile(values, 0.95)), 1)}


def spent_s(process: psutil.Process) -> float:
    """CPU."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    if models := tuple(sys.argv[1:]):
        bundle = renamed(tiny_bundle(), extractor=DetectorOptions(models=models).fingerprint)
        uvicorn.run(make_api(shelf_of(bundle)), port=PORT, log_level="warning")
    else:
        main()
