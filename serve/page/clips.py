"""Recording over HTTP: what is there, one clip more, play it, discard it."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from serve.hosting.shelf import Shelf
from serve.page import seen
from serve.page.playback import played
from serve.page.recordings import counts, find, folder_of, recorded, store, told
from serve.problems import ProblemError
from serve.protocols.extraction import Readers
from serve.protocols.video import refuse_other_media, video_and_row
from serve.schemas import query
from serve.settings import Page
from sigflow.config import Config
from sigflow.pipelines.stages import RECIPES
from sigflow.storage import Location, locate
from sigflow.topology import PARTS

_DRAWN = ("left_hand", "right_hand", "pose")
_LEAST_FREE_BYTES = 1 << 28


class Which(Config):
    """Whose clips, of what."""

    subject: str
    label: str


class WhichClip(Which):
    """One of them."""

    number: int = Field(ge=1)


class Clip(Config):
    """A clip that was stored. `found`: by part, the share of frames in which it was detected."""

    subject: str
    label: str
    number: int
    seconds: float
    frames: int
    found: dict[str, float]
    warnings: list[str]


def page_of(shelf: Shelf) -> Page:
    """The page, where there is one.

    Raises:
        ProblemError: 404, there is none.
    """
    if (page := shelf.settings.page) is None:
        raise ProblemError(404, "this server has no page; it is started with --page")
    return page


def folder_on(shelf: Shelf) -> Location:
    """Where the page records and trains.

    Raises:
        ProblemError: 404, it does not.
    """
    if (folder := page_of(shelf).folder) is None:
        raise ProblemError(404, "this server records nothing; it is started with --page DIR")
    return locate(folder)


def clip_routes(shelf: Shelf, readers: Readers) -> APIRouter:
    """The page's state, and clips."""
    routes = APIRouter(prefix="/page", include_in_schema=False)

    @routes.get("/state")
    async def state() -> dict[str, Any]:
        page, limits = page_of(shelf), shelf.limits
        clips = await asyncio.to_thread(counts, locate(page.folder) / "clips") if page.folder else {}
        return {
            "record": bool(page.folder and limits.video_workers),
            **page.model_dump(exclude={"folder"}),
            "clips": clips,
            "limits": {"video_bytes": limits.video_bytes, "video_seconds": limits.video_seconds},
            "edges": {part: PARTS[part].edges for part in _DRAWN},
            "recipes": list(RECIPES),
        }

    @routes.post("/clips", status_code=201)
    async def record(request: Request) -> Clip:
        folder, limits = folder_on(shelf), shelf.limits
        which = query(request.query_params, Which)
        folder_of(folder / "clips", which.subject, which.label)
        if not limits.video_workers:
            raise ProblemError(501, "this server reads no videos (limits.video_workers is 0)")
        refuse_other_media(request.headers.get("content-type", ""))
        refuse_full(folder)
        extractors = readers.under(limits)
        with extractors.place():
            video, row, _ = await video_and_row(request, extractors, seen.OPTIONS)
        found = seen.look(row, limits)
        clip = await asyncio.to_thread(store, folder / "clips", which.subject, which.label, video)
        await asyncio.to_thread(seen.keep, folder / "seen", clip, which.subject, which.label, row)
        return Clip(
            subject=which.subject, label=which.label, number=clip.number,
            seconds=found.seconds, frames=found.frames, found=found.found, warnings=found.warnings,
        )  # fmt: skip

    @routes.get("/clips")
    async def listing(request: Request) -> dict[str, Any]:
        clips, which = folder_on(shelf) / "clips", query(request.query_params, Which)
        there = await asyncio.to_thread(recorded, clips, which.subject, which.label)
        return {"clips": [{"number": clip.number, "bytes": clip.stored.bytes} for clip in there]}

    @routes.get("/clips/file")
    async def play(request: Request) -> Response:
        clips, which = folder_on(shelf) / "clips", query(request.query_params, WhichClip)
        clip = await asyncio.to_thread(find, clips, which.subject, which.label, which.number)
        return await played(clip, request.headers.get("range", ""))

    @routes.delete("/clips/file", status_code=204)
    async def discard(request: Request) -> None:
        folder, which = folder_on(shelf), query(request.query_params, WhichClip)

        def remove() -> None:
            clip = find(folder / "clips", which.subject, which.label, which.number)
            with told():
                clip.stored.location.delete()
                seen.forget(folder / "seen", clip)

        await asyncio.to_thread(remove)

    return routes


def refuse_full(folder: Location) -> None:
    """Before a body is read: recordings must not fill a disk that others need.

    Raises:
        ProblemError: 507, too little is left.
    """
    if not folder.is_local:
        return
    with told():
        Path(folder.uri).mkdir(parents=True, exist_ok=True)  # the first recording makes it
        free = shutil.disk_usage(folder.uri).free
    if free < _LEAST_FREE_BYTES:
        raise ProblemError(507, f"less than {_LEAST_FREE_BYTES >> 20} MiB are free where clips are kept; free some")
