"""The processes that extract for this one."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def workers() -> list[psutil.Process]:
    """All of them."""
    return [each for each in psutil.Process().children() if "sigflow.landmarks.isolated" in words_of(each)]


def words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):  # it ends just now
        return process.cmdline()
    return []


def is_reading(worker: psutil.Process) -> bool:
    """Whether it has the upload open, beside the handle that it was started with; its log is open twice always."""
    folder = Path(f"/proc/{worker.pid}/fd")
    with suppress(OSError):  # it ends just now
        names = Counter(os.readlink(file) for file in folder.iterdir())
        return sum(count > 1 and name.endswith("(deleted)") for name, count in names.items()) > 1
    return False


@contextmanager
def struck(number: signal.Signals, times: int) -> Iterator[None]:
    """Meanwhile workers get this signal as soon as they read an upload; so many of them must."""
    done: set[int] = set()
    over = threading.Event()

    def run() -> None:
        while len(done) < times and not over.wait(0.01):
            for worker in workers():
                if worker.pid not in done and is_reading(worker):
                    worker.send_signal(number)
                    done.add(worker.pid)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert len(done) == times


def peak_mb(process: psutil.Process) -> int:
    """The most memory that it ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10
