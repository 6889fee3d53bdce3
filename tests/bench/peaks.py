"""The most memory that a process had, by kind; Ray calls `install` in each worker process.

Anonymous memory is a process's own; pages of mapped files and of the object store are shared, and the former are given
up when others need them.
"""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.spans import when_imported

FOLDER = "SIGFLOW_BENCH_PEAKS"  # names where they are written
FEATURES = 2**24  # 64 MiB
_EVERY_S = 0.02


class Peak(NamedTuple):
    """In MiB."""

    anonymous: float
    files: float
    shared: float


def install() -> None:
    """Watch processes that train folds, from the first one on; they keep FEATURES numbers."""
    when_imported(_watch_folds)


def watch() -> None:
    """This process, from now on for as long as it lives."""
    threading.Thread(target=_watch, daemon=True).start()


def own_memory() -> Peak:
    """Of this process, now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    anonymous, files, shared = (
        int(status[name].removesuffix("kB")) / 1024 for name in ("RssAnon", "RssFile", "RssShmem")
    )
    return Peak(anonymous, files, shared)


def read_peaks(folder: Path) -> dict[int, Peak]:
    """Of all processes that were watched, by their ids."""
    return {int(file.stem): Peak(*json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))}


def _watch_folds(worker: Any) -> None:
    real, parts = worker.train_fold, sys.modules["sigflow.training.parts"]
    parts.NUMBERS_AT_ONCE = FEATURES  # type: ignore[attr-defined]
    folds = 0

    def watched(*arguments: Any, **more: Any) -> None:
        nonlocal folds
        folds += 1
        if folds == 1:
            watch()
        real(*arguments, **more)

    worker.train_fold = watched


def _watch() -> None:
    file = Path(os.environ[FOLDER]) / f"{os.getpid()}.json"
    most = Peak(0.0, 0.0, 0.0)
    pause = threading.Event()
    while not pause.wait(_EVERY_S):
        now = own_memory()
        larger = Peak(*(max(pair) for pair in zip(most, now, strict=True)))
        if larger != most:
            most = larger
            draft = file.with_suffix(".draft")
            draft.write_text(json.dumps(most))
            draft.rename(file)
