"""The application with a page, in this process, and who asks it as a browser on this machine would."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from serve.access.guard import Door
from serve.api import make_api
from serve.hosting.shelf import Shelf
from serve.settings import Access, Settings
from tests.serve.test_api import Client


class Browser(Client):
    """At http://127.0.0.1:8000."""

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1:8000") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def record(self, video: bytes, subject: str = "Zoë", label: str = "wave", **headers: str) -> httpx.Response:
        asked = {"subject": subject, "label": label}
        headers = {"content-type": "video/webm"} | {name.replace("_", "-"): text for name, text in headers.items()}
        return self.post("/page/clips", params=asked, content=video, headers=headers)


@contextmanager
def page(
    folder: Path | None, access: Access | None = None, *, bundles: Sequence[str] = (), **limits: Any
) -> Iterator[Browser]:
    """With these settings; ended as a server ends it."""
    settings: dict[str, Any] = {
        "page": {"folder": str(folder) if folder else None},
        "bundles": [{"bundle": bundle} for bundle in bundles],
        "limits": limits,
    }
    shelf = Shelf()
    if not folder:
        settings["registry"] = {"uri": "/nothing"}
    asyncio.run(shelf.change(Settings.model_validate(settings)))
    api = make_api(shelf, Door(access, {}))

    async def end() -> None:
        async with api.router.lifespan_context(api):
            pass

    try:
        yield Browser(api)
    finally:
        asyncio.run(end())
