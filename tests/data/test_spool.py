"""If these fail, arrays from disk are not what was put there, disks fill up with left-overs, or others read them."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from sigflow.data import spool
from sigflow.data.spool import Put, Spool, fits_memory, open_spool, sweep
from sigflow.errors import UserError

SHAPES = {"time_s": (6,), "hand": (6, 2, 3)}
HAND = np.arange(36, dtype=np.float32).reshape(6, 2, 3)


def fill(put: Put) -> None:
    """From the end to the beginning."""
    for row in reversed(range(6)):
        put("hand", row, HAND[row : row + 1])
        put("time_s", row, np.array([row / 25], np.float32))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's spools are."""
    monkeypatch.setenv("SIGFLOW_SPOOL", str(tmp_path))
    return tmp_path / f"sigflow-{os.geteuid()}"


def never(put: Put) -> None:
    raise AssertionError("it is there already")


def test_what_was_put_is_what_is_mapped() -> None:
    made = open_spool("key", SHAPES, fill)
    assert np.array_equal(made.arrays["hand"], HAND)
    assert np.array_equal(made.arrays["time_s"], np.arange(6, dtype=np.float32) / np.float32(25))
    assert not made.arrays["hand"].flags.writeable


def test_the_second_one_takes_what_the_first_one_wrote_and_the_last_one_removes_it(root: Path) -> None:
    first, second = open_spool("key", SHAPES, fill), open_spool("key", SHAPES, never)
    first.close()
    assert list(root.iterdir()) == [second.folder]
    second.close()
    assert not list(root.iterdir())
    assert np.array_equal(second.arrays["hand"], HAND)  # for as long as somebody has it


def test_forgetting_it_removes_it(root: Path) -> None:
    made = open_spool("key", SHAPES, fill)
    del made
    assert not list(root.iterdir())


def test_what_was_lent_stays_until_it_is_swept(root: Path) -> None:
    open_spool("key", SHAPES, fill, borrowed=True).close()
    open_spool("key", SHAPES, never, borrowed=True).close()
    sweep()
    assert not list(root.iterdir())


def test_many_at_once_write_it_once() -> None:
    """Often, as who waits for whom is a matter of luck."""
    for again in range(100):
        written: list[int] = []
        made: list[Spool] = []

        def slowly(put: Put, written: list[int] = written) -> None:
            written.append(1)
            threading.Event().wait(0.002)
            fill(put)

        def take(key: str = f"key {again}", made: list[Spool] = made, slowly: Callable[[Put], None] = slowly) -> None:
            made.append(open_spool(key, SHAPES, slowly))

        threads = [threading.Thread(target=take, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(written) == 1
        assert len(made) == 8, "some wait for ever"
        assert all(np.array_equal(each.arrays["hand"], HAND) for each in made)


@pytest.mark.parametrize("moment", ["open", "half"])
def test_what_a_killed_process_left_is_removed(root: Path, moment: str) -> None:
    """Be it whole or half written; the one that is in use stays."""
    code = f"""
import os
from {__name__} import SHAPES, fill
from sigflow.data.spool import open_spool
def half(put):
    fill(put)
    os.kill(os.getpid(), 9)
kept = open_spool("other", SHAPES, {"fill" if moment == "open" else "half"})
os.kill(os.getpid(), 9)
"""
    mine = open_spool("mine", SHAPES, fill)
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    assert {folder.name for folder in root.iterdir()} == {"mine", "other"}
    next_one = open_spool("next", SHAPES, fill)
    assert {folder.name for folder in root.iterdir()} == {"mine", "next"}
    assert np.array_equal(mine.arrays["hand"], next_one.arrays["hand"])


def test_one_that_could_not_be_filled_leaves_nothing_and_can_be_tried_again(root: Path) -> None:
    def broken(put: Put) -> None:
        put("hand", 0, HAND[:3])
        raise ConnectionError("the storage is gone")

    with pytest.raises(ConnectionError):
        open_spool("key", SHAPES, broken)
    assert not list(root.iterdir())
    assert np.array_equal(open_spool("key", SHAPES, fill).arrays["hand"], HAND)


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(root: Path) -> None:
    with pytest.raises(UserError, match=r"no place for 37252\.9 GiB of landmarks.*GiB are free.*set SIGFLOW_SPOOL"):
        open_spool("key", {"hand": (10**12, 10)}, never)
    assert not list(root.iterdir())


def test_a_disk_that_becomes_full_is_said_too(root: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        real: Callable[..., int] = os.pwrite
        full = os.open("/dev/full", os.O_WRONLY)
        patch.setattr(os, "pwrite", lambda _, data, at: real(full, data, at))
        with pytest.raises(UserError, match=r"No space left on device.*larger disk"):
            open_spool("key", SHAPES, fill)
        os.close(full)
    assert not list(root.iterdir())


def test_others_can_neither_read_it_nor_put_theirs_in_its_place(root: Path) -> None:
    made = open_spool("key", SHAPES, fill)
    for place in (root, made.folder, *made.folder.glob("*.f32")):
        assert place.stat().st_mode & 0o077 == 0, place
    made.close()
    root.chmod(0o755)
    with pytest.raises(UserError, match="others may read it"):
        open_spool("key", SHAPES, fill)
    root.rmdir()
    root.symlink_to(root.parent)
    with pytest.raises(UserError, match="is no folder"):
        open_spool("key", SHAPES, fill)


def test_a_place_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGFLOW_SPOOL", "/proc/nothing")
    with pytest.raises(UserError, match="set SIGFLOW_SPOOL to a folder of yours"):
        open_spool("key", SHAPES, fill)


def test_an_eighth_of_the_memory_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the machine's or of the container's, whichever is less."""
    total = psutil.virtual_memory().total
    assert fits_memory(total // 9) or any(file.exists() for file in spool._CONTAINER_LIMITS)
    assert not fits_memory(total // 7)
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(spool, "_CONTAINER_LIMITS", (limit,))
    limit.write_text("max\n")
    assert fits_memory(total // 9)
    limit.write_text("8000\n")
    assert fits_memory(1000)
    assert not fits_memory(1001)
