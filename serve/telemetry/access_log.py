"""Every request counted, timed and logged: its route, model and status, and nothing of what it asked or was told."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.telemetry.signals import Meter

# Below Ray Serve's own logger, so that lines go where it sends them: to files, as JSON if it is told so.
LOG = logging.getLogger("ray.serve.sigflow")
QUIET = ("/healthz", "/readyz")  # are asked every few seconds


class AccessLog:
    """ASGI middleware; the outermost one, so that it sees what every client sees."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app, self._meter = app, meter
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and tell of it when it is over, also when it ends in an error."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun, seen = time.perf_counter(), {"status": 500 if scope["type"] == "http" else 1006}

        async def watch(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                seen["status"] = message["status"]
            elif message["type"] == "websocket.close":
                seen["status"] = message.get("code", 1000)
            await send(message)

        self._count_open(1)
        try:
            await self._app(scope, receive, watch)
        finally:
            self._count_open(-1)
            self._tell(scope, seen, time.perf_counter() - begun)

    def _count_open(self, more: int) -> None:
        self._open += more
        self._meter("open_requests", self._open, {})

    def _tell(self, scope: Scope, seen: dict[str, Any], seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "none"  # its pattern: a path has a name in it, of no end
        model = str(scope.get("path_params", {}).get("name", "")) if seen["status"] != 404 else ""
        self._meter("requests_total", 1, {"route": route, "model": model, "status": str(seen["status"])})
        self._meter("request_seconds", seconds, {"route": route, "model": model})
        if route not in QUIET:
            LOG.info(
                "%s %s %s %.0f ms", scope.get("method", "WS"), route, seen["status"], 1000 * seconds,
                extra={"route": route, "model": model, "seconds": round(seconds, 6), **seen,
                       "request_id": scope.get("state", {}).get("request_id", "")},
            )  # fmt: skip
