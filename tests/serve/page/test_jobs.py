"""If these fail, a job that is gone runs for ever on the page, or a request starts what nobody meant."""

import os
import time
from pathlib import Path

import httpx
import pytest

from sigflow.pipelines.stages import FILE, SILENT_S, new_job, write_job
from sigflow.storage import Location, locate
from tests.serve.page.pages import Browser, page
from tests.serve.test_api import problem


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    with page(tmp_path) as browser:
        return browser


def begin(browser: Browser, content: str, media_type: str = "application/json") -> httpx.Response:
    return browser.post("/page/jobs", content=content, headers={"content-type": media_type})


def test_before_the_first_job_there_is_none(browser: Browser) -> None:
    assert browser.get("/page/jobs").json() == {"job": None}
    assert browser.request("DELETE", "/page/jobs").json() == {"job": None}


def test_a_job_that_was_heard_of_just_now_runs_and_one_that_fell_silent_is_gone(
    browser: Browser, tmp_path: Path
) -> None:
    write_job(locate(tmp_path), new_job("1a", "bundle"))
    job = browser.get("/page/jobs").json()["job"]
    assert (job["id"], job["state"], job["error"], job["result"]) == ("1a", "running", None, None)
    assert [stage["name"] for stage in job["stages"]] == ["extract", "audit", "train", "ensemble", "publish"]
    then = time.time() - SILENT_S - 1
    os.utime(tmp_path / FILE, (then, then))
    gone = browser.get("/page/jobs").json()["job"]
    assert gone["state"] == "failed"
    assert "start it again" in gone["error"]


def test_a_damaged_state_is_none(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"id": 7')
    assert browser.get("/page/jobs").json() == {"job": None}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 422, "JSON"), ("[]", 422, "the body"), ('{"until": "never"}', 422, "until"),
        ('{"recipe": "continuous_signs"}', 422, "recipe"), ('{"recipe": "../../x.json"}', 422, "recipe"),
        ('{"name": "../x"}', 422, "name"), ('{"name": ""}', 422, "name"), ('{"force": ["rm -rf"]}', 422, "force"),
        ('{"force": "few_clips"}', 422, "force"), ('{"videos": "/etc"}', 422, "videos"), ('{"a":' * 9000, 422, "JSON"),
        (" " * 70_000, 413, "over"), ("{}", 501, "without Ray"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_starts_nothing(
    browser: Browser, tmp_path: Path, body: str, status: int, words: str
) -> None:
    assert words in problem(begin(browser, body), status)
    assert not (tmp_path / FILE).exists()


def test_a_form_of_a_foreign_page_starts_nothing(browser: Browser) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert "send application/json" in problem(begin(browser, "{}", media_type), 415)


def test_what_is_learnt_does_not_hide_behind_a_bundle_of_its_name(exported_bundle: Location, tmp_path: Path) -> None:
    with page(tmp_path, bundles=[exported_bundle.uri]) as browser:
        assert "choose another name" in problem(begin(browser, '{"name": "gestures"}'), 422)
        assert "without Ray" in problem(begin(browser, '{"name": "others"}'), 501)
