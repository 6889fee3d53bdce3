"""Videos posted to a server in this process."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI

from serve.api import make_api
from serve.settings import Limits
from sigflow.bundle import Bundle
from tests.serve.protocols.workers import workers
from tests.serve.shelves import shelf_of
from tests.serve.test_api import Client

VIDEO = "/v1/models/gestures:predictVideo"
LIMITS = Limits(video_bytes=2 << 20, video_pixels=250_000, video_seconds=10, video_frames=170)


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
