"""The page itself: files of this package, under the strictest rules that it works with."""

import hashlib
from importlib import resources

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.access.guard import STATIC
from serve.hosting.shelf import Shelf
from serve.problems import ProblemError

_TYPES = {
    ".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".json": "application/json",
    ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}  # fmt: skip
_HEADERS = {
    # Nothing of another origin, nothing inline; blob: is what the camera and the recorder give.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",  # kept, and asked for each time: an upgraded server has no old page
}


def static_routes(shelf: Shelf) -> APIRouter:
    """`/` and `/page/static/...`, where the settings have a page."""
    routes = APIRouter(include_in_schema=False)

    @routes.api_route("/", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return answer("index.html", request)

    @routes.api_route(f"{STATIC}{{name}}", methods=["GET", "HEAD"])
    async def static(name: str, request: Request) -> Response:
        return answer(name, request)

    def answer(name: str, request: Request) -> Response:
        if shelf.settings.page is None:
            raise ProblemError(404, "this server has no page; it is started with --page")
        # By comparing names: whatever a client asks for, no other path is made of it.
        files = {file.name: file for file in resources.files("serve.page").joinpath("static").iterdir()}
        media_type = _TYPES.get(f".{name.rpartition('.')[2]}")
        if name not in files or media_type is None:
            raise ProblemError(404, "no such file")
        content = files[name].read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {**_HEADERS, "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return routes
