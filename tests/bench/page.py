"""The page in Chromium on this machine, server and browser side by side: how soon it answers, and what live mode costs.

    python -m tests.bench.page BUNDLE [--shots DIR]

`usable_s`: from asking for the page until a file can be chosen; `answer_s`: from choosing a clip of a second until its
label stands there, the first time (the detector starts) and again; `first_prediction_s` is the sum without the person.
Live over `LIVE_S` of a camera of 640 x 480, as the page itself shows it: medians of ms a frame, of them on the server,
frames/s, bytes/s sent. --shots: the pictures of docs/, from rendered hands.
"""

import argparse
import json
import re
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from serve.settings import Page as PageSettings
from serve.settings import Served, Settings
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from tests.integration.browser import ENTER, Page, browser, write_y4m
from tests.integration.conftest import wait_for
from tests.integration.test_browser import running

LIVE_S = 15
SHOWN = "victory"
# When it happens, and not when a driver that polls sees it.
WATCH = """
  window.seen = {};
  const look = () => {
    const field = document.querySelector('#model-field');
    if (field && !field.hidden) window.seen.usable ??= performance.now();
    if (document.querySelector('#result')?.dataset.state === 'answer') window.seen.answer ??= performance.now();
    else delete window.seen.answer;
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
"""


def main(bundle: str, shots: Path | None) -> None:
    """Figures as JSON."""
    person = SUBJECTS[0]
    camera = replace(person.camera, width=640, height=480, hand_px=215.0)
    clip = render_clip(replace(person, camera=camera), SHOWN, 7)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_video(folder / "clip.mp4", clip.frames_THWC, clip.fps)
        device = write_y4m(folder / "camera.y4m", clip.frames_THWC, clip.fps)
        settings = Settings(bundles=(Served(bundle=bundle),), page=PageSettings(folder=str(folder / "recordings")))
        with running(settings) as url:
            with browser(device) as page:
                figures: dict[str, Any] = opened(page, url, folder / "clip.mp4")
                figures["live"] = live(page)
            if shots:
                with browser(device) as page:
                    (shots / "page_try.jpg").write_bytes(try_picture(page, url))
                with browser(device) as page:
                    (shots / "page_record.jpg").write_bytes(record_picture(page, url))
    print(json.dumps(figures, indent=1))


def opened(page: Page, url: str, clip: Path) -> dict[str, float]:
    """The page is loaded, and a clip tried, twice."""
    page.chrome("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    page.open(url)
    page.wait_for("#model-field")
    usable, first, again = page.run("return window.seen.usable"), answered(page, clip), answered(page, clip)
    return {
        "usable_s": round(usable / 1000, 2), "answer_s": round(first / 1000, 2),
        "answer_again_s": round(again / 1000, 2), "first_prediction_s": round((usable + first) / 1000, 2),
    }  # fmt: skip


def answered(page: Page, clip: Path) -> float:
    """Milliseconds until the page says what it was."""
    page.run("document.querySelector('#file').addEventListener('change', () => window.chosen = performance.now())")
    page.run("window.chosen = 0; document.querySelector('#result').dataset.state = 'empty'")
    page.type("#file", str(clip))
    wait_for(lambda: bool(page.run("return (window.seen.answer ?? 0) > window.chosen && window.chosen")), seconds=60)
    page.wait_for("#course svg")
    return float(page.run("return window.seen.answer - window.chosen"))


def live(page: Page) -> dict[str, float]:
    """Medians of what the page shows."""
    page.click("#try-live")
    page.wait_for("#facts", "a second")
    time.sleep(2)  # the first frames start things
    seen = []
    for _ in range(2 * LIVE_S):
        time.sleep(0.5)
        seen.append(page.text("#facts").replace("\n", " "))
    page.click("#try-live")

    def of(pattern: str) -> float:
        return median(float(found[1]) for text in seen if (found := re.search(pattern, text)))

    return {
        "ms_per_frame": of(r"([\d.]+) ms,"), "ms_on_the_server": of(r"([\d.]+) ms on the server"),
        "frames_per_s": of(r"([\d.]+) a second Sent"), "kilobytes_per_s": of(r"Sent ([\d.]+) kB"),
    }  # fmt: skip


def try_picture(page: Page, url: str) -> bytes:
    """An answer, on a desk."""
    page.open(url)
    page.wait_for("#model-field")
    page.type("#try-prepare", "0.2")
    page.type("#try-record", "1.5")
    page.click("#try-go")
    page.wait_for("#try-stage[data-state=camera]")
    page.click("#try-go")
    page.wait_for("#said", SHOWN)
    page.wait_for("#course svg")
    page.click("#play")
    page.run("const at = document.querySelector('#scrub input'); at.value = 520; at.dispatchEvent(new Event('input'))")
    time.sleep(1)
    return page.screenshot()


def record_picture(page: Page, url: str) -> bytes:
    """Clips being recorded, on a phone."""
    page.as_phone(390)
    page.open(f"{url}/#record")
    page.wait_for("#add-label")
    page.type("#subject", "Ada")
    for label in (SHOWN, "open hand", "thumb up"):
        page.type("#label", label)
        page.press(ENTER)
    page.type("#prepare", "0.2")
    page.type("#seconds", "1.2")
    page.click("#record-go")
    page.wait_for("#record-stage[data-state=camera]")
    for number in range(1, 6):
        page.click("#record-go")
        page.wait_for(f"#queue li:nth-child({number})")
        page.wait_for("#unsent", "All clips are sent")
    page.type("#seconds", "4")
    page.click("#record-go")
    page.wait_for("#record-stage .badge.rec")
    time.sleep(1.5)
    return page.screenshot(most=1100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="that knows 'victory', as the demo's does")
    parser.add_argument("--shots", type=Path, help="folder for page_try.jpg and page_record.jpg")
    given = parser.parse_args()
    main(given.bundle, given.shots)
