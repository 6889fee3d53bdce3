"""Debian's Chromium without a screen, driven by its own chromedriver over W3C WebDriver (w3.org/TR/webdriver2).

Its camera is a file that it plays again and again, fixed when it starts: another gesture is another browser.
"""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np

from tests.integration.conftest import answers, free_port, wait_for

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key under which WebDriver names elements
_OPERATED = ("button", "checkbox", "combobox", "link", "listbox", "slider", "spinbutton", "textbox")
TAB, ENTER, ESCAPE, SHIFT, SPACE = "\ue004", "\ue007", "\ue00c", "\ue008", " "


@dataclass(frozen=True)
class Page:
    """A tab. Elements are named by CSS selectors."""

    http: httpx.Client

    def open(self, url: str) -> None:
        self._ask("url", url=url)

    def run(self, script: str, *args: object) -> Any:
        """JavaScript in the page, with `arguments`; `await` works."""
        return self._ask("execute/sync", script=f"return (async () => {{{script}}})()", args=args)

    def click(self, selector: str) -> None:
        """As a mouse does: what is hidden or covered fails."""
        self._ask(f"element/{self._find(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        """Instead of what is there. Of a file input: the file's path."""
        element = self._find(selector)
        if self.run("return arguments[0].type !== 'file'", {_ELEMENT: element}):
            self._ask(f"element/{element}/clear")
        self._ask(f"element/{element}/value", text=text)

    def press(self, *keys: str, held: str = "") -> None:
        """Keys, to whatever has the focus."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        if held:
            strokes = [{"type": "keyDown", "value": held}, *strokes, {"type": "keyUp", "value": held}]
        self._ask("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def tab_to(self, selector: str, *, back: bool = False) -> None:
        """With the Tab key, as somebody without a mouse."""
        for _ in range(40):
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
            self.press(TAB, held=SHIFT if back else "")
        raise AssertionError(f"the Tab key does not reach {selector}")

    def nameless(self) -> list[str]:
        """Roles of what can be operated and has no name, as screen readers are told."""
        nodes = self.chrome("Accessibility.getFullAXTree")["nodes"]
        shown = [node for node in nodes if not node["ignored"] and node["role"]["value"] in _OPERATED]
        assert len(shown) > 4, "the page is not there"
        return [node["role"]["value"] for node in shown if not node["name"]["value"]]

    def text(self, selector: str) -> str:
        """What a person reads there: nothing of what is hidden."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)).strip()

    def shows(self, selector: str) -> bool:
        return bool(self.run("return document.querySelector(arguments[0])?.checkVisibility() ?? false", selector))

    def wait_for(self, selector: str, text: str = "", *, seconds: float = 60) -> None:
        """Until it is shown, with this text in it."""
        try:
            wait_for(lambda: self.shows(selector) and text in self.text(selector), seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{selector!r} did not show {text!r}; the page:\n{self.text('body')}") from error

    def chrome(self, command: str, **parameters: object) -> dict[str, Any]:
        """A command of the DevTools protocol: other networks, other preferences."""
        return dict(self._ask("goog/cdp/execute", cmd=command, params=parameters))

    def as_phone(self, width: int) -> None:
        """From now on a screen of so many CSS pixels; windows are not made as narrow."""
        self.chrome("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=2, mobile=True)

    def screenshot(self, *, most: int = 10_000) -> bytes:
        """The page from its top, so many CSS pixels at the most, as JPEG."""
        clip = self.chrome("Page.getLayoutMetrics")["cssContentSize"] | {"scale": 1}
        clip["height"] = min(clip["height"], most)
        taken = self.chrome("Page.captureScreenshot", format="jpeg", quality=85, captureBeyondViewport=True, clip=clip)
        return base64.b64decode(taken["data"])

    def _find(self, selector: str) -> str:
        return str(self._ask("element", using="css selector", value=selector)[_ELEMENT])

    def _ask(self, command: str, **parameters: object) -> Any:
        answer = self.http.post(command, json=parameters)
        value = answer.json()["value"]
        assert answer.is_success, f"{command} {parameters}: {value['error']}: {value['message'][:300]}"
        return value


@contextmanager
def browser(
    camera: Path | None = None, *, allows: bool = True, size: tuple[int, int] = (1280, 900),
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Page]:  # fmt: skip
    """A new browser with nothing in it. Without `camera` the machine has none; `allows`: the page may use it."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "no Chromium: make setup-browser"
    assert driver, "no chromedriver: make setup-browser"
    words = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={size[0]},{size[1]}"]
    words += ["--hide-scrollbars", "--no-first-run"]
    words.append("--use-fake-ui-for-media-stream" if allows else "--deny-permission-prompts")
    if os.geteuid() == 0:
        words.append("--no-sandbox")  # Chromium as root has none
    if camera:
        words += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    chrome = {"binary": chromium, "args": words}
    port = free_port()
    process = subprocess.Popen(
        [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(environment)
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/status"), seconds=60)
        with httpx.Client(timeout=120, trust_env=False) as http:
            wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}
            session = http.post(f"{url}/session", json={"capabilities": wanted}).raise_for_status().json()["value"]
            place = f"{url}/session/{session['sessionId']}"
            http.base_url = httpx.URL(f"{place}/")
            try:
                yield Page(http)
            finally:
                http.delete(httpx.URL(place)).raise_for_status()  # or else Chromium outlives its driver
    finally:
        process.terminate()
        process.wait(30)


def write_y4m(path: Path, frames_THWC: np.ndarray, fps: int) -> Path:
    """What Chromium takes for a camera: raw video with its rate."""
    height, width = frames_THWC.shape[1:3]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for frame_HWC in frames_THWC:
            picture = av.VideoFrame.from_ndarray(frame_HWC, format="rgb24").reformat(format="yuv420p")
            file.write(b"FRAME\n" + picture.to_ndarray().tobytes())
    return path
