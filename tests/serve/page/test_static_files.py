"""If these fail, the page does not load, an old one stays in browsers, or it could load what somebody else wrote."""

import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from serve.api import make_api
from serve.hosting.shelf import Shelf
from tests.serve.page.pages import Browser, page
from tests.serve.test_api import problem

HERE = resources.files("serve.page").joinpath("static")


@pytest.fixture(scope="module")
def browser() -> Browser:
    with page(None) as browser:
        return browser


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_all_that_the_page_consists_of_is_served_as_what_it_is(browser: Browser) -> None:
    for file in HERE.iterdir():
        answer = browser.get(f"/page/static/{file.name}")
        assert answer.status_code == 200, file.name
        assert answer.content == file.read_bytes()
        assert answer.headers["x-content-type-options"] == "nosniff"
    first = browser.get("/")
    assert first.content == HERE.joinpath("index.html").read_bytes()
    assert first.headers["content-type"] == "text/html; charset=utf-8"


def test_the_page_keeps_the_rules_that_it_is_served_under(browser: Browser) -> None:
    """A browser leaves out what they forbid, and nobody sees why."""
    rules = browser.get("/").headers["content-security-policy"]
    assert "unsafe" not in rules
    assert "*" not in rules
    assert "default-src 'none'" in rules
    tags = Tags()
    tags.feed(browser.get("/").text)
    for tag, attributes in tags.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes), (tag, attributes)
        assert tag != "style"
        if tag == "script":
            assert attributes.get("src"), "an inline script"
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            assert not re.match(r"[a-z]+:|//", address), f"{address} is of another origin"
            if address.startswith("/page/static/"):
                assert HERE.joinpath(address.removeprefix("/page/static/")).is_file(), address


def test_a_browser_that_has_a_file_is_told_whether_it_is_still_good(browser: Browser) -> None:
    first = browser.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = browser.request("GET", "/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.request("GET", "/", headers={"if-none-match": '"old"'}).status_code == 200
    assert browser.request("HEAD", "/").headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "name", ["../__init__.py", "..%2f__init__.py", "%2e%2e/__init__.py", "/etc/passwd", "", "INDEX.HTML", "nothing.js"]
)
def test_nothing_else_is_served(browser: Browser, name: str) -> None:
    assert browser.get(f"/page/static/{name}").status_code == 404


def test_a_server_that_was_not_asked_for_a_page_has_none() -> None:
    without = Browser(make_api(Shelf()))
    for path in ("/", "/page/static/index.html", "/page/state", "/page/clips", "/page/jobs"):
        assert "--page" in problem(without.get(path), 404)
