"""If these fail, strangers are answered, a page steals from its visitor's machine, or a key ends in a log."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import WebSocket

from serve.access.guard import Door, refuse_open
from serve.access.keys import new_key
from serve.api import make_api
from serve.hosting.shelf import Shelf
from serve.settings import Access
from sigflow.errors import UserError
from tests.serve.test_api import Client, problem

SECRET, LINE = new_key("alice")
BEARER = {"authorization": f"Bearer {SECRET}"}
NOBODY: Mapping[str, str] = {}


def client_of(access: Access, environment: Mapping[str, str] = NOBODY) -> Client:
    return Client(make_api(Shelf(), Door(access, environment)))


def ask(client: Client, path: str = "/v1/models", method: str = "GET", **headers: str) -> httpx.Response:
    return client.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})


@pytest.fixture
def locked() -> Client:
    return client_of(Access(keys=(LINE,)))


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/x", "/docs", "/openapi.json", "/metrics", "/nothing", "/healthz/", "/%2Freadyz"]
)
def test_with_keys_on_nothing_is_answered_without_one(locked: Client, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer sf_wrong"}, {"authorization": f"Basic {SECRET}"}, {"x_api_key": ""}):
        answer = ask(locked, path, **headers)
        assert "Authorization: Bearer KEY" in problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert ask(locked, f"{path}?key={SECRET}").status_code == 401, "addresses end in logs"


def test_a_load_balancer_needs_no_key(locked: Client) -> None:
    assert ask(locked, "/healthz").status_code == 200
    assert ask(locked, "/readyz").status_code == 503


@pytest.mark.parametrize("headers", [BEARER, {"authorization": f"bearer  {SECRET} "}, {"x_api_key": SECRET}])
def test_the_right_key_is_let_in(locked: Client, headers: dict[str, str]) -> None:
    for path in ("/v1/models", "/docs", "/openapi.json"):
        assert ask(locked, path, **headers).status_code == 200
    assert ask(locked, "/nothing", **headers).status_code == 404


def test_keys_may_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(LINE)
    (tmp_path / "keys").chmod(0o600)
    for client in (
        client_of(Access(), {"SIGFLOW_API_KEYS": f"bob sha256:{'0' * 64};{LINE}"}),
        client_of(Access(keys_file=str(tmp_path / "keys"))),
    ):
        assert ask(client).status_code == 401
        assert ask(client, **BEARER).status_code == 200


def test_keys_change_while_requests_are_answered() -> None:
    door = Door(Access(keys=(LINE,)), NOBODY)
    client = Client(make_api(Shelf(), door))
    assert ask(client, **BEARER).status_code == 200
    secret, line = new_key("bob")
    door.change(Access(keys=(line,)))
    assert ask(client, **BEARER).status_code == 401
    assert ask(client, x_api_key=secret).status_code == 200
    with pytest.raises(UserError):
        door.change(Access(keys=("nonsense",)))
    assert ask(client, x_api_key=secret).status_code == 200


def test_who_asks_too_often_is_told_when_to_come_again() -> None:
    secret, line = new_key("bob", 0.01, 3)
    client = client_of(Access(keys=(LINE, line)))
    statuses = [ask(client, x_api_key=secret).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    answer = ask(client, x_api_key=secret)
    assert "0.01 requests/s" in problem(answer, 429)
    assert int(answer.headers["retry-after"]) > 60
    assert ask(client, **BEARER).status_code == 200
    assert ask(client, "/healthz").status_code == 200


def test_addresses_have_a_limit_only_where_one_is_set() -> None:
    limited = client_of(Access(rate=0.01, burst=2))
    assert [ask(limited).status_code for _ in range(3)] == [200, 200, 429]
    free = client_of(Access())
    assert {ask(free).status_code for _ in range(50)} == {200}


def served_at(address: str, access: Access, environment: Mapping[str, str] = NOBODY) -> httpx.Response:
    return httpx_get(make_api(Shelf(), Door(access, environment)), f"http://{address}/v1/models")


def httpx_get(api: Any, url: str, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api)) as client:
            return await client.get(url, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize("address", ["0.0.0.0:8000", "192.168.1.7:8000", "[2001:db8::1]:8000"])
def test_without_keys_other_machines_are_not_answered_unless_that_is_said(address: str) -> None:
    """`serve deploy` listens where its own configuration says, which no replica sees: each request shows it."""
    assert "--keys FILE" in problem(served_at(address, Access()), 403)
    assert served_at(address, Access(open=True)).status_code == 200
    assert served_at(address, Access(keys=(LINE,))).status_code == 401


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_without_keys_this_machine_is_answered_unless_haproxy_listens_for_all(address: str) -> None:
    assert served_at(address, Access()).status_code == 200
    haproxy = {"RAY_SERVE_ENABLE_HA_PROXY": "1"}
    assert served_at(address, Access(), haproxy).status_code == 403
    assert served_at(address, Access(open=True), haproxy).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_a_server_for_all_without_keys_does_not_start(host: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--keys FILE"):
        refuse_open(Access(), host, {})
    refuse_open(Access(open=True), host, {})
    refuse_open(Access(), host, {"SIGFLOW_API_KEYS": LINE})
    refuse_open(Access(keys=(LINE,)), host, {})
    with pytest.raises(UserError, match="cannot read the keys"):
        refuse_open(Access(keys_file=str(tmp_path / "none"), open=True), host, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_for_this_machine_starts_without_keys_but_not_behind_haproxy(host: str) -> None:
    refuse_open(Access(), host, {})
    refuse_open(Access(), host, {"RAY_SERVE_ENABLE_HA_PROXY": "0"})
    with pytest.raises(UserError, match="HAProxy would listen on all"):
        refuse_open(Access(), host, {"RAY_SERVE_ENABLE_HA_PROXY": "1"})


def test_answers_carry_the_requests_id_or_a_new_one() -> None:
    client = client_of(Access())
    for path, status in (("/v1/models", 200), ("/nothing", 404)):
        assert ask(client, path, x_request_id="a-7:b").headers["x-request-id"] == "a-7:b"
        fresh = ask(client, path)
        assert fresh.status_code == status
        assert re.fullmatch("[0-9a-f]{32}", fresh.headers["x-request-id"])
    for odd in ("a b", "x" * 129, "<script>", '"', "a\x7f"):
        answer = ask(client, x_request_id=odd)
        assert "X-Request-Id" in problem(answer, 400)
        assert odd not in answer.headers["x-request-id"]


def test_even_the_servers_own_errors_carry_an_id_and_the_security_headers() -> None:
    api = make_api(Shelf(), Door(Access(), NOBODY))

    @api.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret")

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/broken", headers={"x-request-id": "seven"})

    answer = asyncio.run(send())
    assert "secret" not in problem(answer, 500)
    assert answer.headers["x-request-id"] == "seven"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_browsers_are_told_to_keep_and_guess_nothing() -> None:
    client = client_of(Access())
    for path in ("/v1/models", "/nothing", "/healthz"):
        headers = ask(client, path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_the_page_of_documentation_may_load_what_it_names() -> None:
    answer = ask(client_of(Access()), "/docs")
    policy = answer.headers["content-security-policy"]
    for source in re.findall(r'(?:src|href)="(https://[^/"]+)', answer.text):
        assert source in policy
    assert "connect-src 'self'" in policy


def test_other_pages_may_ask_only_where_their_origin_is_named() -> None:
    page = {"origin": "https://page.example", "access_control_request_method": "POST"}
    wish = page | {"access_control_request_headers": "authorization, content-type"}
    closed = client_of(Access(keys=(LINE,)))
    for answer in (ask(closed, method="OPTIONS", **wish), ask(closed, **BEARER, origin="https://page.example")):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    opened = client_of(Access(keys=(LINE,), cors=("https://page.example",)))
    allowed = ask(opened, method="OPTIONS", **wish)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://page.example"
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    for answer in (ask(opened, **BEARER, origin="https://page.example"), ask(opened, origin="https://page.example")):
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
    for other in ("https://page.example.org", "http://page.example", "null"):
        assert "access-control-allow-origin" not in ask(opened, **BEARER, origin=other).headers
        assert ask(opened, method="OPTIONS", **(wish | {"origin": other})).status_code == 400


@pytest.mark.parametrize("origin", ["*", "https://*.example", "page.example", "https://page.example/"])
def test_origins_are_whole_and_exact(origin: str) -> None:
    with pytest.raises(ValueError, match="cors"):
        Access(cors=(origin,))


def test_long_addresses_and_many_headers_are_refused() -> None:
    client = client_of(Access())
    assert "over 8192 bytes" in problem(ask(client, "/v1/models/" + "x" * 9000), 414)
    assert "over 8192 bytes" in problem(ask(client, "/v1/models?" + "x" * 9000), 414)
    assert "headers" in problem(ask(client, **{f"x-{number}": "x" for number in range(120)}), 431)
    assert "headers" in problem(ask(client, long="x" * 40_000), 431)
    assert ask(client, authorization="Bearer " + "x" * 20_000).status_code == 200


class Socket:
    """A WebSocket handshake with the application in this process; what it answers."""

    def __init__(self, access: Access, *, denials: bool = True) -> None:
        self.seen: list[Any] = []
        api = make_api(Shelf(), Door(access, NOBODY))

        @api.websocket("/stream")
        async def stream(socket: WebSocket) -> None:
            self.seen = [socket.headers.raw, socket.scope["subprotocols"], socket.scope["state"].get("key")]
            await socket.accept()
            await socket.close()

        self._api, self._denials = api, denials

    def open(self, *offers: str, **headers: str) -> dict[str, Any]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": "localhost:8000", "sec-websocket-protocol": ", ".join(offers), **headers}
        scope = {
            "type": "websocket", "path": "/stream", "raw_path": b"/stream", "query_string": b"", "scheme": "ws",
            "headers": [(name.encode(), text.encode()) for name, text in given.items()], "subprotocols": list(offers),
            "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1), "root_path": "",
            "extensions": {"websocket.http.response": {}} if self._denials else {},
        }  # fmt: skip
        asyncio.run(self._api(scope, receive, send))
        return sent[0]


def test_a_browsers_stream_brings_its_key_as_a_subprotocol_that_no_route_sees() -> None:
    socket = Socket(Access(keys=(LINE,)))
    opened = socket.open("sigflow", f"key.{SECRET}")
    assert (opened["type"], opened["subprotocol"]) == ("websocket.accept", "sigflow")
    headers, offered, who = socket.seen
    assert SECRET not in f"{headers} {offered}"
    assert (offered, who) == (["sigflow"], "alice")
    assert socket.open(authorization=f"Bearer {SECRET}")["type"] == "websocket.accept"


def test_a_stream_without_a_key_is_refused_before_it_opens() -> None:
    for offers in ((), ("sigflow", "key.sf_wrong"), (SECRET,)):
        refused = Socket(Access(keys=(LINE,))).open(*offers)
        assert (refused["type"], refused["status"]) == ("websocket.http.response.start", 401)
        old = Socket(Access(keys=(LINE,)), denials=False).open(*offers)
        assert (old["type"], old["code"]) == ("websocket.close", 1008)


def test_a_strange_page_cannot_open_a_stream_to_its_visitors_machine() -> None:
    assert Socket(Access()).open(origin="https://page.example")["status"] == 403
    assert Socket(Access()).open(origin="http://localhost:8000")["type"] == "websocket.accept"
    named = Socket(Access(cors=("https://page.example",)))
    assert named.open(origin="https://page.example")["type"] == "websocket.accept"


def page_asked(url: str, method: str = "GET", access: Access | None = None, **headers: str) -> int:
    """The status of a server on loopback, whatever its name in the URL."""
    api = make_api(Shelf(), Door(access or Access(), NOBODY))
    host = headers.pop("host", "")

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://127.0.0.1:8000") as client:
            return await client.request(method, url, headers=headers | ({"host": host} if host else {}))

    return asyncio.run(send()).status_code


@pytest.mark.parametrize("path", ["/page/jobs", "/page/clips"])
def test_a_foreign_page_can_start_and_store_nothing_on_its_visitors_machine(path: str) -> None:
    """Simple requests are sent without asking, and their answers hidden: too late by then."""
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9000"):
        assert page_asked(path, "POST", origin=origin) == 403
        assert page_asked(path, "DELETE", origin=origin) == 403
    for own in ({}, {"origin": "http://127.0.0.1:8000"}):
        assert page_asked(path, "POST", None, **own) == 404, "let in; and there is no page here"
    assert page_asked(path, "POST", access=Access(cors=("https://own.example",)), origin="https://own.example") == 404


def test_a_name_that_was_made_to_mean_this_machine_reads_no_recordings() -> None:
    for host in ("evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "a:b:c"):
        assert page_asked("/page/clips/file", host=host) == 403
    for host in ("localhost:8000", "LOCALHOST", "127.0.0.1", "[::1]:8000", "[::1]", "192.168.1.7:8000"):
        assert page_asked("/page/clips/file", host=host) == 404, "let in; and there is no page here"
    assert page_asked("/page/clips/file", access=Access(open=True), host="gestures.example") == 404


def test_the_page_itself_needs_no_key_and_other_machines_need_one_to_be_there() -> None:
    locked = Access(keys=(LINE,), rate=0.01, burst=1)
    for path in ("/", "/page/static/index.html"):
        assert [page_asked(path, access=locked) for _ in range(3)] == [404] * 3
        assert page_asked(path, "POST", access=locked) == 401
        assert page_asked(f"http://192.168.1.7:8000{path}") == 403
        assert page_asked(f"http://192.168.1.7:8000{path}", access=locked) == 404
