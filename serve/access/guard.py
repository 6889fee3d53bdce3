"""What stands before every route: keys, rates, request ids, security headers, and this machine alone by default."""

import ipaddress
import os
import re
import time
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.keys import ENVIRONMENT, Keyring, find_key
from serve.access.rates import Rates
from serve.problems import ProblemError, problem
from serve.settings import Access
from sigflow.errors import UserError

ALWAYS_OPEN = frozenset({"/healthz", "/readyz"})
STATIC = "/page/static/"  # and "/": the page itself, which holds nothing
_SUBPROTOCOL, _KEY_PROTOCOL = "sigflow", "key."  # browsers cannot set headers of a WebSocket: `sigflow, key.<KEY>`
_SAFE = frozenset({"GET", "HEAD"})
_URL_BYTES, _HEADER_BYTES, _HEADERS, _KEY_CHARACTERS = 8192, 32768, 100, 200
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:;=/@+,~-]{1,128}")
_CLOSED = "default-src 'none'; frame-ancestors 'none'"
_DOCS = (  # FastAPI's page of documentation takes its script from there, and has one of its own
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src 'unsafe-inline' "
    "https://cdn.jsdelivr.net; img-src data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
)
_MEND = "give it keys (--keys FILE, made by `python -m serve.access.keys new NAME`), or say --open"


class Door:
    """Who may enter, as the settings say now. One of each replica."""

    def __init__(self, access: Access | None = None, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self.rates = Rates()
        self.change(access or Access())

    def change(self, access: Access) -> None:
        """Go by these settings from now on.

        Raises:
            UserError: no good keys; nothing is changed then.
        """
        self._ring = keyring(access, self._environment)
        self.access = access

    def enter(self, scope: Scope, headers: Headers) -> None:
        """Refuse, or let in; who came stands in the scope's state as `key`.

        Raises:
            ProblemError: 401, no key or a wrong one; 403, from beyond this machine where there are no keys; 429.
        """
        keys, access = self._ring.keys, self.access
        rate, burst = access.rate, access.burst
        if keys and _is_static(scope):  # a browser that opens a page cannot show a key
            return
        if keys:
            key = find_key(keys, _presented(scope, headers))
            if key is None:
                detail = "give a key that this server knows, as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'"
                raise ProblemError(401, detail, {"WWW-Authenticate": 'Bearer realm="sigflow"'})
            scope["state"]["key"] = asker = key.name
            rate, burst = key.rate or rate, key.burst or burst
        else:
            if not access.open and _from_beyond(scope, self._environment):
                raise ProblemError(403, f"without API keys this server answers its own machine alone; {_MEND}")
            if not access.open and scope["path"].startswith("/page/") and not _plain(headers.get("host", "")):
                raise ProblemError(403, f"without API keys open the page as localhost or 127.0.0.1; or {_MEND}")
            asker = scope["client"][0] if scope.get("client") else ""
        if rate and (wait_s := self.rates.wait_s(asker, rate, burst, time.monotonic())):
            detail = f"more than {rate:g} requests/s; wait {wait_s} s"
            raise ProblemError(429, detail, {"Retry-After": str(wait_s)})


def keyring(access: Access, environment: Mapping[str, str]) -> Keyring:
    """The keys of the settings and of the environment.

    Raises:
        UserError: they cannot be read.
    """
    return Keyring(access.keys_file, (*access.keys, *environment.get(ENVIRONMENT, "").split(";")))


def refuse_open(access: Access, host: str, environment: Mapping[str, str]) -> None:
    """Before anything listens: beyond this machine only behind keys, or where that is said.

    Raises:
        UserError: `host` is reached from elsewhere and there are no keys, or they cannot be read.
    """
    if keyring(access, environment).keys or access.open:
        return
    if _haproxy(environment):
        raise UserError(f"HAProxy would listen on all of this machine's addresses, for everybody; {_MEND}")
    if host != "localhost" and not _loopback(host):
        raise UserError(f"on {host} everybody who reaches this machine could ask; {_MEND}")


class Guard:
    """ASGI middleware, the outermost one.

    Args:
        names_answers: whether to put X-Request-Id on answers; Ray's proxy does it itself.
    """

    def __init__(self, app: ASGIApp, door: Door, *, names_answers: bool = True) -> None:
        self._app, self._door, self._names_answers = app, door, names_answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with a problem."""
        app: ASGIApp = self._guarded if scope["type"] in ("http", "websocket") else self._app
        if origins := self._door.access.cors:
            app = CORSMiddleware(  # made anew, as origins change while it runs; that is a few microseconds
                app, origins, ("GET", "POST"), ("Authorization", "X-API-Key", "X-Request-Id"),
                expose_headers=("X-Request-Id", "Retry-After"),
            )  # fmt: skip
        await app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        scope.setdefault("state", {})["request_id"] = request_id = headers.get("x-request-id") or uuid.uuid4().hex
        websocket, path = scope["type"] == "websocket", scope["path"]

        async def answer(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                out = MutableHeaders(scope=message)
                out.setdefault("X-Content-Type-Options", "nosniff")
                out.setdefault("Cache-Control", "no-store")
                out.setdefault("Content-Security-Policy", _DOCS if path == "/docs" else _CLOSED)
                if self._names_answers:
                    out["X-Request-Id"] = request_id
            elif message["type"] == "websocket.accept" and _SUBPROTOCOL in offered:
                message = {"subprotocol": _SUBPROTOCOL} | {k: v for k, v in message.items() if v is not None}
            await send(message)

        offered = scope.get("subprotocols", [])
        try:
            if not _REQUEST_ID.fullmatch(request_id):
                request_id = scope["state"]["request_id"] = uuid.uuid4().hex  # the other is in no log
                raise ProblemError(400, "X-Request-Id: up to 128 letters, digits and ._:;=/@+,~-")
            _refuse_large(scope)
            if websocket or (path.startswith("/page/") and scope["method"] not in _SAFE):
                self._refuse_other_pages(headers)
            if websocket or path not in ALWAYS_OPEN:
                self._door.enter(scope, headers)
        except ProblemError as error:
            if websocket and "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008, "reason": error.detail[:120]})
            else:
                asked = None if websocket else Request(scope)
                await problem(error.status, error.detail, error.headers, asked)(scope, receive, answer)
            return
        await self._app(_without_key(scope), receive, answer)

    def _refuse_other_pages(self, headers: Headers) -> None:
        """CORS says nothing of WebSockets: any page in a browser may open one to a server that the browser reaches.

        Nor does it keep simple requests from being sent, which would be enough to start a job.
        """
        origin = headers.get("origin")
        own = origin is None or origin.partition("://")[2] == headers.get("host")
        if not own and origin not in self._door.access.cors:
            raise ProblemError(403, "a page of another origin; name it in the setting access.cors")


def _refuse_large(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _URL_BYTES:
        raise ProblemError(414, f"the address is over {_URL_BYTES} bytes")
    size = sum(len(name) + len(value) for name, value in scope["headers"])
    if len(scope["headers"]) > _HEADERS or size > _HEADER_BYTES:
        raise ProblemError(431, f"more than {_HEADERS} headers, or {_HEADER_BYTES} bytes of them")


def _presented(scope: Scope, headers: Headers) -> str:
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        key = headers.get("x-api-key", "")
    for offer in scope.get("subprotocols", []):
        if not key and offer.startswith(_KEY_PROTOCOL):
            key = offer.removeprefix(_KEY_PROTOCOL)
    return key.strip() if len(key) <= _KEY_CHARACTERS else ""


def _without_key(scope: Scope) -> Scope:
    """The scope as routes see it: what they log or answer can hold no key."""
    secret = {b"authorization", b"x-api-key", b"sec-websocket-protocol"}
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in secret]
    if "subprotocols" in scope:
        scope["subprotocols"] = [offer for offer in scope["subprotocols"] if not offer.startswith(_KEY_PROTOCOL)]
    return scope


def _from_beyond(scope: Scope, environment: Mapping[str, str]) -> bool:
    """Whether the request came to an address that other machines reach. HAProxy hides to which, and listens on all."""
    return _haproxy(environment) or _loopback((scope.get("server") or ("",))[0]) is False


def _is_static(scope: Scope) -> bool:
    path = scope["path"]
    return scope["type"] == "http" and scope["method"] in _SAFE and (path == "/" or path.startswith(STATIC))


def _plain(host: str) -> bool:
    """Whether the Host header is an address, or this machine's own name: any other one may be a foreign page's, whose
    name was made to mean this machine (DNS rebinding), so that it might read recordings as if they were its own.
    """
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name.lower() == "localhost" or _loopback(name.strip("[]")) is not None


def _loopback(host: str) -> bool | None:
    """None: no address, but a name, or the path of a socket."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return None


def _haproxy(environment: Mapping[str, str]) -> bool:
    return environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1"
