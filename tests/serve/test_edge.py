"""If these fail, clients see Ray's own errors as plain text, or lose a request because a replica died over it."""

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from serve.edge import App, Edge, Message, Receive, Send
from serve.problems import problem
from tests.serve.test_api import problem as checked


def ask(app: App, body: bytes = b"clip", path: str = "/", headers: dict[bytes, bytes] | None = None) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(Edge(app)), base_url="http://test") as client:
            return await client.post(path, content=body, headers=headers)

    return asyncio.run(send())


class Dying:
    """Like Ray's proxy: sends nothing when the replica dies over a request, as the first ones here do, or its head."""

    def __init__(self, deaths: int, *, head: bool = False) -> None:
        self.deaths, self.head, self.asked = deaths, head, 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked += 1
        if self.asked > self.deaths:
            await JSONResponse({"got": len(body)})(scope, receive, send)
        elif self.head:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"211")]})


def test_a_request_outlives_its_replica_with_its_whole_body() -> None:
    replicas = Dying(1)
    assert ask(replicas, b"x" * 500_000).json() == {"got": 500_000}
    assert replicas.asked == 2


def test_an_answer_whose_head_alone_came_is_asked_for_again() -> None:
    replicas = Dying(2, head=True)
    answer = ask(replicas)
    assert answer.json() == {"got": 4}
    assert replicas.asked == 3


def test_a_request_that_kills_replicas_is_not_repeated_for_ever() -> None:
    replicas = Dying(100)
    answer = ask(replicas)
    assert "ask again" in checked(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert replicas.asked == 3


def test_a_large_body_is_not_kept_in_the_proxy() -> None:
    replicas = Dying(1)
    checked(ask(replicas, b"x" * (2 << 20)), 503)
    assert replicas.asked == 1


def test_what_stores_something_is_not_done_twice() -> None:
    replicas = Dying(1)
    assert "ask again" in checked(ask(replicas, path="/page/clips"), 503)
    assert replicas.asked == 1


def test_nobody_is_asked_again_for_a_client_that_left() -> None:
    replicas, sent = Dying(100), []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Edge(replicas)({"type": "http", "headers": []}, gone, send))
    assert (replicas.asked, sent) == (1, [])


@pytest.mark.parametrize(("status", "retry_after"), [(503, "1"), (408, None), (404, None)])
def test_errors_of_ray_become_problems(status: int, retry_after: str | None) -> None:
    answer = ask(PlainTextResponse("Request dropped due to backpressure", status))
    assert checked(answer, status) == "Request dropped due to backpressure"
    assert answer.headers.get("retry-after") == retry_after


def test_what_ray_says_of_coming_again_is_kept() -> None:
    assert ask(PlainTextResponse("later", 503, {"Retry-After": "7"})).headers["retry-after"] == "7"


def test_what_is_no_error_of_ray_passes_as_it_is() -> None:
    ours = ask(problem(422, "'fps' is missing", {"X-Which": "ours"}))
    assert (checked(ours, 422), ours.headers["x-which"]) == ("'fps' is missing", "ours")
    assert ask(PlainTextResponse("fine")).text == "fine"


@pytest.mark.parametrize("value", [b"\xff\xfe", b"caf\xe9", b"\xc3"])
def test_a_header_that_ray_cannot_read_is_the_clients_mistake_and_reaches_no_replica(value: bytes) -> None:
    replica = Dying(0)
    assert "UTF-8" in checked(ask(replica, headers={b"X-Request-Id": value, b"X-Next": b"\xa9"}), 400)
    assert replica.asked == 0


def test_text_of_any_language_passes_in_a_header() -> None:
    assert ask(PlainTextResponse("fine"), headers={b"X-Name": "Žofie".encode()}).text == "fine"
