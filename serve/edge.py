"""In Ray's HTTP proxy, before everything: its own errors become problems, and a request outlives its replica.

Ray loads it on nodes that are started with RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=serve.edge.middlewares. Every
request that this application knows only asks, so asking once more changes nothing; except those of the page that store
something, which are tried once.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.middleware import Middleware

from serve.hosting.memory import return_large_blocks
from serve.problems import MEDIA_TYPE, RETRY_AFTER, problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_KEPT_BYTES = 1 << 20  # of a body, for another try; what is larger is tried once
_TRIES = 3


def middlewares() -> list[Middleware]:
    """What Ray asks for, once in each process that listens."""
    return_large_blocks()
    return [Middleware(Edge)]


class Edge:
    """Around Ray's proxy."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request. Ray sends nothing at all when the replica died over it."""
        if not _is_text(scope.get("headers", ())):
            await problem(400, "the values of headers must be UTF-8")(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = _Asked(receive)
        for _ in range(_tries(scope)):
            answer = _Answer(send)
            await self._app({**scope, "headers": list(scope["headers"])}, asked.again(), answer)
            if answer.began:
                await answer.end()
                return
            if asked.gone or asked.bytes > _KEPT_BYTES:
                break
        if not asked.gone:
            died = problem(503, "the replica died over this request; ask again", RETRY_AFTER)
            await died(scope, receive, send)


def _tries(scope: Message) -> int:
    return 1 if scope.get("path", "").startswith("/page/") and scope["method"] not in ("GET", "HEAD") else _TRIES


def _is_text(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Ray reads some of them as UTF-8, and errs where they are not."""
    try:
        b"\n".join(value for _, value in headers).decode()
    except UnicodeDecodeError:
        return False
    return True


class _Asked:
    """The client's messages, kept while they are few."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: list[Message] = []
        self.bytes, self.gone = 0, False

    def again(self) -> Receive:
        """The messages from the first one on."""
        kept = iter(list(self._kept))

        async def receive() -> Message:
            if (message := next(kept, None)) is not None:
                return message
            message = await self._receive()
            self.gone = self.gone or message["type"] == "http.disconnect"
            self.bytes += len(message.get("body", b""))
            if self.bytes <= _KEPT_BYTES:
                self._kept.append(message)
            else:
                self._kept.clear()
            return message

        return receive


class _Answer:
    """Passes an answer on, its head with its first bytes: a replica may die between the two, and then it can be asked
    again. A plain text error of Ray's becomes a problem."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Message | None = None
        self._error: Message | None = None
        self._text = b""
        self.began = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            return
        self.began = True
        if self._head is not None:
            head, self._head = self._head, None
            if _is_plain_error(head):
                self._error = head
            else:
                await self._send(head)
        if self._error is None:
            await self._send(message)
        else:
            self._text += message.get("body", b"")[: 1000 - len(self._text)]

    async def end(self) -> None:
        """Send the problem, if it was one."""
        if self._error is None:
            return
        status, text = self._error["status"], self._text.decode(errors="replace").strip().strip('"')
        kept = {key.decode("latin-1"): value.decode("latin-1") for key, value in self._error["headers"]}
        headers = {key: value for key, value in kept.items() if key.lower() in ("retry-after", "x-request-id")}
        if status == 503 and "retry-after" not in headers:
            headers |= RETRY_AFTER
        made = problem(status, text or "the server cannot answer", headers)
        await self._send({"type": "http.response.start", "status": status, "headers": made.raw_headers})
        await self._send({"type": "http.response.body", "body": made.body})


def _is_plain_error(head: Message) -> bool:
    kinds = [value.decode("latin-1") for key, value in head["headers"] if key.lower() == b"content-type"]
    return head["status"] >= 400 and not any(kind.startswith(MEDIA_TYPE) for kind in kinds)
