"""If these fail, who records is not warned, loses a clip, waits for what was seen, or stores what is no video."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from serve.access.keys import new_key
from serve.page import seen
from serve.settings import Access
from sigflow.landmarks.isolation import Limits as Cost
from sigflow.landmarks.manifest import read_manifest
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from sigflow.pipelines.extract import ExtractBlock
from sigflow.storage import locate
from tests.serve.page.pages import Browser, page
from tests.serve.protocols.videos import sound, video
from tests.serve.test_api import problem

LIMITS: dict[str, Any] = {"video_bytes": 1 << 20, "video_seconds": 10.0}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    folder = tmp_path_factory.mktemp("page")
    with page(folder, **LIMITS) as browser:
        yield browser, folder


@pytest.fixture(scope="module")
def browser(shared: tuple[Browser, Path]) -> Browser:
    return shared[0]


@pytest.fixture(scope="module")
def folder(shared: tuple[Browser, Path]) -> Path:
    return shared[1]


@pytest.fixture(scope="module")
def wave(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    clip = render_clip(SUBJECTS[0], "wave", 0, num_frames=25)
    return written(tmp_path_factory.mktemp("wave") / "it.mp4", clip.frames_THWC)


def written(path: Path, frames_THWC: np.ndarray) -> bytes:
    write_video(path, frames_THWC, 25)
    return path.read_bytes()


def test_a_clip_is_stored_whole_and_what_was_seen_is_what_extraction_would_see(
    browser: Browser, folder: Path, wave: bytes, tmp_path: Path
) -> None:
    answer = browser.record(wave)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["subject"], told["label"], told["number"], told["warnings"]) == ("Zoë", "wave", 1, [])
    assert told["frames"] == 25
    assert told["seconds"] == pytest.approx(0.96, abs=0.01)
    assert told["found"]["right_hand"] > 0.9
    assert (folder / "clips/Zoë/wave/1.mp4").read_bytes() == wave
    assert browser.get("/page/state").json()["clips"] == {"Zoë": {"wave": 1}}

    manifest = read_manifest(locate(folder / "clips"))
    block = ExtractBlock(locate(tmp_path), seen.OPTIONS, Cost())
    block(manifest)
    block._extractor.close()  # ends with its process elsewhere
    (kept,) = pq.read_table(folder / "seen/landmarks").to_pylist()
    (extracted,) = pq.read_table(tmp_path / "landmarks").to_pylist()
    assert kept == extracted


def test_a_clip_is_played_and_discarded_with_what_was_seen_in_it(browser: Browser, folder: Path, wave: bytes) -> None:
    number = browser.record(wave, label="gone").json()["number"]
    asked = {"subject": "Zoë", "label": "gone", "number": str(number)}
    which = {name: asked[name] for name in ("subject", "label")}
    assert browser.request("GET", "/page/clips", params=which).json() == {
        "clips": [{"number": number, "bytes": len(wave)}]
    }
    whole = browser.request("GET", "/page/clips/file", params=asked)
    assert (whole.content, whole.headers["content-type"], whole.headers["accept-ranges"]) == (
        wave,
        "video/mp4",
        "bytes",
    )
    kept = len(list((folder / "seen/landmarks").iterdir()))
    assert browser.request("DELETE", "/page/clips/file", params=asked).status_code == 204
    assert len(list((folder / "seen/landmarks").iterdir())) == kept - 1
    assert browser.request("GET", "/page/clips", params=which).json() == {"clips": []}
    for method in ("GET", "DELETE"):
        assert "no clip" in problem(browser.request(method, "/page/clips/file", params=asked), 404)


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-", 0, None), ("bytes=10-19", 10, 20), ("bytes=-5", -5, None), ("bytes=5-99999999", 5, None)],
)
def test_a_player_gets_the_range_that_it_asks_for(
    browser: Browser, folder: Path, wave: bytes, wanted: str, start: int, end: int | None
) -> None:
    (folder / "clips/a/range").mkdir(parents=True, exist_ok=True)
    (folder / "clips/a/range/1.webm").write_bytes(wave)
    asked = {"subject": "a", "label": "range", "number": "1"}
    answer = browser.request("GET", "/page/clips/file", params=asked, headers={"range": wanted})
    assert (answer.status_code, answer.content) == (206, wave[start:end])
    first = start % len(wave)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(wave)}"
    for strange in ("bytes=0-1,5-6", "words=1-2", "bytes=x-"):
        assert browser.request("GET", "/page/clips/file", params=asked, headers={"range": strange}).content == wave
    for beyond in (f"bytes={len(wave)}-", "bytes=9-3", "bytes=-0"):
        answer = browser.request("GET", "/page/clips/file", params=asked, headers={"range": beyond})
        assert f"{len(wave)} bytes" in problem(answer, 416)


def test_who_records_is_warned_at_once(browser: Browser, wave: bytes, tmp_path: Path) -> None:
    (nobody,) = browser.record(video(range(0, 1000, 40))).json()["warnings"]
    assert nobody.startswith("no hand was seen")
    (short,) = browser.record(video([0, 40, 80])).json()["warnings"][:1]
    assert short.startswith("too short: 3 frames in 0.1 s")
    (slow,) = browser.record(video(range(0, 4000, 250))).json()["warnings"][:1]
    assert slow.startswith("the camera gave only 4 frames a second")
    hand_THWC = render_clip(SUBJECTS[0], "wave", 0, num_frames=3).frames_THWC
    empty_THWC = np.full((20, *hand_THWC.shape[1:]), 90, np.uint8)
    (seldom,) = browser.record(written(tmp_path / "seldom.mp4", np.concatenate([hand_THWC, empty_THWC]))).json()[
        "warnings"
    ]
    assert seldom.startswith("a hand was seen in")
    (still,) = browser.record(written(tmp_path / "still.mp4", hand_THWC[:1].repeat(25, axis=0))).json()["warnings"]
    assert still.startswith("the picture stood still")


def test_what_is_no_video_or_too_much_of_one_is_not_stored(browser: Browser, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    for body, status, words in (
        (b"", 422, "empty"),
        (b"<script>alert(1)</script>", 422, "cannot be read"),
        (b"\x1a\x45\xdf\xa3" + bytes(1000), 422, "cannot be read"),
        (sound(), 422, "cannot be read"),
        (bytes((1 << 20) + 1), 413, "over"),
        (video(range(0, 12_000, 100)), 413, "too large"),
    ):
        assert words in problem(browser.record(body), status)
    for media_type in ("", "text/plain", "multipart/form-data; boundary=x", "application/json"):
        assert "is not read" in problem(browser.record(b"x", content_type=media_type), 415)
    assert sorted(folder.rglob("*")) == before


def test_names_that_lead_elsewhere_and_queries_that_make_no_sense_are_refused(browser: Browser, folder: Path) -> None:
    before = sorted(folder.parent.rglob("*"))
    for name in ("..", "../../out", "/out", "a/b", ".x", "\0", "x" * 300):
        problem(browser.record(b"x", subject=name), 422)
        for method, path in (("GET", "/page/clips"), ("GET", "/page/clips/file"), ("DELETE", "/page/clips/file")):
            asked = {"subject": "a", "label": name} | ({"number": "1"} if path.endswith("file") else {})
            problem(browser.request(method, path, params=asked), 422)
    for query in ("", "subject=a", "subject=a&label=b&number=-1", "subject=a&label=b&number=1.webm", "subject=a&x=1"):
        problem(browser.get(f"/page/clips/file?{query}"), 422)
    assert sorted(folder.parent.rglob("*")) == before


def test_more_than_can_be_looked_at_are_told_so(tmp_path: Path) -> None:
    with page(tmp_path, video_workers=0) as browser:
        assert browser.get("/page/state").json()["record"] is False
        assert "reads no videos" in problem(browser.record(b"x"), 501)


def test_a_page_that_only_tries_records_nothing() -> None:
    with page(None) as browser:
        assert browser.get("/").status_code == 200
        state = browser.get("/page/state").json()
        assert (state["record"], state["clips"], state["target"]) == (False, {}, 75)
        assert state["edges"]["left_hand"][0] == [0, 1]
        assert "--page DIR" in problem(browser.record(b"x"), 404)
        for method, path in (
            ("GET", "/page/clips"),
            ("GET", "/page/jobs"),
            ("DELETE", "/page/jobs"),
            ("POST", "/page/jobs"),
        ):
            assert "--page DIR" in problem(browser.request(method, path), 404)


def test_recording_needs_a_key_where_there_are_keys(tmp_path: Path) -> None:
    secret, line = new_key("alice")
    with page(tmp_path, Access(keys=(line,))) as browser:
        assert browser.get("/").status_code == browser.get("/page/static/index.html").status_code == 200
        for method, path in (
            ("GET", "/page/state"), ("POST", "/page/clips"), ("GET", "/page/clips"), ("GET", "/page/clips/file"),
            ("DELETE", "/page/clips/file"), ("POST", "/page/jobs"), ("GET", "/page/jobs"), ("DELETE", "/page/jobs"),
            ("POST", "/"), ("DELETE", "/page/static/index.html"),
        ):  # fmt: skip
            problem(browser.request(method, path), 401)
        allowed = browser.request("GET", "/page/state", headers={"x-api-key": secret})
        assert allowed.status_code == 200
