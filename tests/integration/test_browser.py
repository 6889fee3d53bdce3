"""If these fail, the page does not work for people: from nothing to a recogniser, by keys alone, when all fails."""

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
import yaml

from serve.access.keys import new_key
from serve.api import make_api
from serve.hosting.shelf import Shelf
from serve.settings import Page as PageSettings
from serve.settings import Served, Settings
from sigflow.landmarks.synthetic import SUBJECTS, Subject, render_clip, write_video
from sigflow.storage import Location
from tests.integration.browser import ENTER, ESCAPE, SPACE, Page, browser, write_y4m
from tests.integration.conftest import Cluster, wait_for
from tests.integration.serving import page_server

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="no Chromium: make setup-browser")
GESTURES = ("open_close", "swipe_in", "victory")
TAKES = 3


def camera_of(folder: Path, subject: Subject, gesture: str, *, first: int = 0, takes: int = TAKES) -> Path:
    """A file that Chromium takes for a camera before which somebody makes the gesture, each time a little otherwise."""
    clips = [render_clip(subject, gesture, first + take) for take in range(takes)]
    return write_y4m(folder / "camera.y4m", np.concatenate([clip.frames_THWC for clip in clips]), subject.fps)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_nothing_to_a_recogniser_without_a_terminal(cluster: Cluster, tmp_path: Path) -> None:
    with page_server(cluster, tmp_path / "log", "--page", tmp_path / "recordings") as server:
        for subject in SUBJECTS[:3]:
            for gesture in GESTURES:
                with browser(camera_of(tmp_path, subject, gesture)) as page:
                    record(page, f"{server.url}/#record", subject.name, gesture)
        stored = sorted(path.parent for path in (tmp_path / "recordings/clips").rglob("*.webm"))
        assert stored == sorted(
            tmp_path / "recordings/clips" / subject.name / gesture
            for subject in SUBJECTS[:3] for gesture in GESTURES for _ in range(TAKES)
        )  # fmt: skip

        stranger = SUBJECTS[4]
        for number, gesture in enumerate(GESTURES):
            with browser(camera_of(tmp_path, stranger, gesture, first=7)) as page:
                if number == 0:
                    train(page, f"{server.url}/#train")
                else:
                    page.open(server.url)
                try_clip(page, gesture)
                try_live(page, gesture)


def record(page: Page, url: str, subject: str, gesture: str) -> None:
    """By keys alone."""
    page.open(url)
    page.wait_for("#add-label")
    page.tab_to("#subject")
    page.press(*subject)
    page.tab_to("#label")
    page.press(*gesture, ENTER)
    page.tab_to(f"[data-label={gesture}]")
    page.press(SPACE)
    page.wait_for("#next", f"{gesture} by {subject}")
    page.tab_to("#record-go")
    page.press(SPACE)
    page.wait_for("#record-stage[data-state=camera]")
    for field, seconds in (("prepare", "0.2"), ("seconds", "1.2")):
        page.type(f"#{field}", seconds)
    page.tab_to("#keep-going", back=True)
    page.press(SPACE)
    page.tab_to("#record-go", back=True)
    page.press(SPACE)
    page.wait_for(f"#queue li:nth-child({TAKES})")
    page.press(ESCAPE)
    page.wait_for("#unsent", "All clips are sent")
    while (there := clips_of(page)) > TAKES:  # Escape came late
        page.click("#queue li:first-child .danger")
        wait_for(fewer_than(page, there), seconds=30)
    assert "kept as number" in page.text("#queue li")
    assert f"{subject} {TAKES}" in page.text("#labels button[aria-pressed=true]")


def clips_of(page: Page) -> int:
    return int(page.run("return document.querySelectorAll('#queue li').length"))


def fewer_than(page: Page, count: int) -> Callable[[], bool]:
    return lambda: clips_of(page) < count


def train(page: Page, url: str) -> None:
    """The audit refuses so few clips, which is accepted; then the new recogniser is tried."""
    page.open(url)
    page.wait_for("#recorded", "27 clips of 3 movements by 3 people")
    page.click("#job-train")
    page.wait_for("#findings li.error", "Must be mended", seconds=240)
    page.wait_for("#outcome", "Not yet")
    assert "--" not in page.text("#train-body"), "flags of commands mean nothing here"
    for number in range(page.run("return document.querySelectorAll('#findings input').length")):
        page.run("document.querySelectorAll('#findings input')[arguments[0]].click()", number)
    page.click("#job-train")
    page.wait_for("#stages li[data-state=running]", "Train and test", seconds=240)
    page.wait_for("#outcome", "of 100", seconds=300)
    assert "On people it had never seen" in page.text("#outcome")
    page.click("#outcome button")
    page.wait_for("#try-go")
    assert page.run("return document.querySelector('#model').selectedOptions[0].text") == "my_gestures"


def try_clip(page: Page, gesture: str) -> None:
    """A clip of the camera, by keys alone."""
    page.wait_for("#try-go", "Use the camera")
    page.type("#try-prepare", "0.2")
    page.type("#try-record", "1.5")
    page.tab_to("#try-go", back=True)
    page.press(SPACE)
    page.wait_for("#try-go", "Record a clip")
    page.press(SPACE)
    page.wait_for("#said", gesture)
    page.wait_for("#course svg polyline.most")
    assert "my_gestures" in page.text("#facts")
    assert page.run("return document.querySelector('#told').textContent").startswith(f"{gesture}, ")
    assert drawn(page) > 0


def try_live(page: Page, gesture: str) -> None:
    page.click("#try-live")
    page.wait_for("#events li b", gesture)
    page.wait_for("#facts", "a second")
    print(gesture, "live:", page.text("#facts").replace("\n", " "))
    assert drawn(page) > 0
    page.click("#try-live")
    page.wait_for("#try-go", "Record a clip")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_goes_wrong_is_said_in_words(cluster: Cluster, exported_bundle: Location, tmp_path: Path) -> None:
    key, line = new_key("ada")
    settings = {
        "bundles": [{"bundle": exported_bundle.uri, "allow_other_extractor": True}], "page": {},
        "access": {"keys": [line]}, "limits": {"waiting_videos": 0, "video_seconds": 5, "video_bytes": 1 << 20},
    }  # fmt: skip
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    clip = render_clip(SUBJECTS[0], "pinch", 7)
    nothing = np.full_like(clip.frames_THWC, 120)
    write_video(tmp_path / "pinch.mp4", clip.frames_THWC, clip.fps)
    write_video(tmp_path / "nothing.mp4", nothing, clip.fps)
    write_video(tmp_path / "busy.mp4", np.repeat(nothing, 4, axis=0), clip.fps)
    write_video(tmp_path / "long.mp4", np.repeat(nothing, 8, axis=0), clip.fps)
    (tmp_path / "words.mp4").write_text("this is no video")
    (tmp_path / "large.mp4").write_bytes(bytes(2 << 20))
    with page_server(cluster, tmp_path / "log", "--settings", tmp_path / "settings.yaml") as server:
        with browser() as page:
            page.open(server.url)
            page.wait_for("#key", "asks for a key")
            page.press(*"sf_wrong", ENTER)
            page.wait_for("#key", "does not know that key")
            page.press(*key, ENTER)
            page.wait_for("#model-field")
            assert page.run("return localStorage.length + document.cookie.length") == 0
            assert not page.shows("nav a[href='#record']")

            page.click("#try-go")
            page.wait_for("#try-stage .problem", "No camera was found")
            for name, words in (
                ("words", "This file cannot be read"), ("long", "The clip is too long"),
                ("large", "The clip is too long"),
            ):  # fmt: skip
                page.type("#file", str(tmp_path / f"{name}.mp4"))
                page.wait_for("#try-stage .problem", words)
            page.type("#file", str(tmp_path / "nothing.mp4"))
            page.wait_for("#said", "No hand was seen")

            with busy(server.url, key, tmp_path / "busy.mp4"):
                page.type("#file", str(tmp_path / "pinch.mp4"))
                page.wait_for("#try-stage .progress", "The server is busy: again in")
            page.wait_for("#said", "pinch")

            page.chrome("Network.enable")
            page.chrome("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0,
                        uploadThroughput=0)  # fmt: skip
            page.type("#file", str(tmp_path / "pinch.mp4"))
            page.wait_for("#try-stage .progress", "No connection: again in")
            page.chrome("Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1,
                        uploadThroughput=-1)  # fmt: skip
            page.wait_for("#said", "pinch")

        dark = write_y4m(tmp_path / "dark.y4m", clip.frames_THWC // 10, clip.fps)
        for allows, words in ((False, "The camera is not allowed"), (True, "It is too dark")):
            with browser(dark, allows=allows) as page:
                page.open(server.url)
                page.wait_for("#key")
                page.press(*key, ENTER)
                page.wait_for("#model-field")
                page.click("#try-go")
                page.wait_for("#try-stage", words)


@pytest.mark.slow
def test_the_page_loads_and_names_what_a_file_shows(exported_bundle: Location, tmp_path: Path) -> None:
    clip = render_clip(SUBJECTS[0], "pinch", 7)
    write_video(tmp_path / "pinch.mp4", clip.frames_THWC, clip.fps)
    served = Served(bundle=exported_bundle.uri, allow_other_extractor=True)
    settings = Settings(bundles=(served,), page=PageSettings(folder=str(tmp_path / "recordings")))
    with running(settings) as url, browser() as page:
        page.as_phone(360)
        page.open(url)
        page.wait_for("#model-field")
        page.type("#file", str(tmp_path / "pinch.mp4"))
        page.wait_for("#said", "pinch")
        print("page load to first prediction:", page.run("return performance.now()"), "ms")
        page.wait_for("#course svg")
        assert page.run("return document.documentElement.scrollWidth") == 360, "a phone scrolls sideways"
        for view in ("try", "record", "train"):
            page.click(f"nav a[href='#{view}']")
            page.wait_for(f"#{view} h1")
            assert page.nameless() == [], f"a screen reader cannot say what these of {view} are"
        # What is recorded next: what this person has fewest of, then what all have fewest of; nothing at the target.
        clips = {"ada": {"a": 2, "b": 1, "c": 1}, "bo": {"c": 3}}
        following = "return (await import('/page/static/counts.js')).nextLabel(...arguments)"
        assert page.run(following, clips, ["a", "b", "c"], "ada", 75) == "b"
        assert page.run(following, clips, ["a", "b", "c"], "bo", 75) == "b"
        assert page.run(following, clips, ["a", "c"], "bo", 4) == "a"
        assert page.run(following, clips, ["c"], "bo", 4) is None


def drawn(page: Page) -> int:
    """Pixels of landmarks over the picture, as soon as there are any."""
    counted = """
      const canvas = document.querySelector('#try-stage canvas');
      for (let tries = 0; tries < 200; tries++) {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width || 1, canvas.height || 1);
        const pixels = data.filter((value, place) => place % 4 === 3 && value > 0).length;
        if (pixels) return pixels;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return 0;"""
    return int(page.run(counted))


@contextmanager
def busy(url: str, key: str, video: Path) -> Iterator[None]:
    """Others ask all the time."""
    stop, headers = threading.Event(), {"Authorization": f"Bearer {key}", "content-type": "video/mp4"}

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                client.post(f"{url}/v1/models/gestures:predictVideo", content=video.read_bytes(), headers=headers)
                stop.wait(0.02)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The application alone, in this process."""
    shelf = Shelf()
    asyncio.run(shelf.change(settings))
    server = uvicorn.Server(uvicorn.Config(make_api(shelf), log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
