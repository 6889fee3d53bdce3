"""If this fails, one machine that is slow (a bad disk, a busy neighbour) keeps a job from ending, or costs it clips."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.chaos.conftest import Start, at_work, tell, wait_until
from tests.integration.conftest import Cluster
from tests.integration.test_resume import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@contextmanager
def slowed(node: subprocess.Popen[bytes], share: float) -> Iterator[None]:
    """All processes of the node run for this share of each second, and stand still for the rest."""
    ended = threading.Event()

    def hinder() -> None:
        while not ended.is_set():
            tell(node, signal.SIGSTOP)
            ended.wait(1 - share)
            tell(node, signal.SIGCONT)
            ended.wait(share)

    thread = threading.Thread(target=hinder)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_slow_node_only_takes_its_time(
    small: Cluster,
    node: subprocess.Popen[bytes],
    start: Start,
    sample_videos: Path,
    said: Path,
    tmp_path: Path,
) -> None:
    driver = start("extract", "--videos", sample_videos, "--out", tmp_path / "out")
    wait_until(lambda: bool(at_work(node, "sigflow.landmarks.isolated")), driver, said)
    began = time.monotonic()
    with slowed(node, 0.1):
        assert driver.wait(280) == 0, said.read_text()
    slow_s = time.monotonic() - began
    began = time.monotonic()
    small.job("extract", "--videos", sample_videos, "--out", tmp_path / "whole")
    print(f"{slow_s:.1f} s with a node at a tenth of its speed; {time.monotonic() - began:.1f} s undisturbed")
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("quarantine/*"))
