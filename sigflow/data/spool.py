"""Arrays that are too large for memory: files on this machine's disk, mapped into it.

A spool is a folder that is named by what it holds, so that all processes of a machine that want the same share it; of
its pages the system keeps in memory what fits there, once for all of them, and gives them up when others need it. Who
has it open holds a lock, which ends with the process, however that ends: a spool that nobody has locked is left over,
and is removed before the next one is written.
"""

import fcntl
import os
import shutil
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil

from sigflow.errors import UserError

MEMORY_SHARE = 1 / 8  # that arrays may take without a spool: while they are read there are up to four copies
_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_LOCK, _WRITING, _READY = "lock", "writing", "ready"
Shapes = Mapping[str, tuple[int, ...]]  # of float32, by name
Put = Callable[[str, int, np.ndarray], None]  # into the array of this name, from this row on


class Spool:
    """Arrays that are mapped, read-only; also after `close` they can be read, by those who have them.

    `borrowed`: whoever lent them keeps them for others, and removes them.
    """

    def __init__(self, folder: Path, lock: int, shapes: Shapes, *, borrowed: bool) -> None:
        self.folder = folder
        self.arrays: dict[str, np.ndarray] = {
            name: np.memmap(_file(folder, name), np.float32, "r", shape=shape) for name, shape in shapes.items()
        }
        self.close = weakref.finalize(self, _close, None if borrowed else folder, lock)


def fits_memory(size: int) -> bool:
    """Whether so many bytes are few, beside what this machine has."""
    return size <= MEMORY_SHARE * _memory()


def open_spool(key: str, shapes: Shapes, fill: Callable[[Put], None], *, borrowed: bool = False) -> Spool:
    """The arrays that are known as `key`: those that another process has written, or else what `fill` puts.

    Processes that want the same at the same time wait for the first one. `fill` has to put every row.

    Raises:
        UserError: the disk is too small, or the folder belongs to somebody else.
    """
    folder = _root() / key
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:
            continue  # it was removed meanwhile
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if _is_its(folder, lock):
                if not (folder / _READY).exists():
                    _write_once(folder, shapes, fill)
                return Spool(folder, lock, shapes, borrowed=borrowed)
        except BaseException:
            _close(folder, lock)
            raise
        os.close(lock)


def sweep() -> None:
    """Remove all spools of this user that nobody has open: what killed processes left, and what was lent."""
    for folder in _root().iterdir():
        _remove_unused(folder)


def _root() -> Path:
    """A folder of this user alone, in $SIGFLOW_SPOOL or /var/tmp: that is hardly ever in memory, as /tmp may be."""
    root = Path(os.environ.get("SIGFLOW_SPOOL") or "/var/tmp") / f"sigflow-{os.geteuid()}"  # noqa: S108  checked below
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise UserError(f"{root} cannot be made ({error.strerror}); set SIGFLOW_SPOOL to a folder of yours") from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o170077 != 0o040000:
        raise UserError(f"{root} is no folder, or others may read it; remove it, or set SIGFLOW_SPOOL to another place")
    return root


def _write_once(folder: Path, shapes: Shapes, fill: Callable[[Put], None]) -> None:
    """One after the other under a lock of their own: a shared lock made exclusive would wait for all readers to end."""
    writing = os.open(folder / _WRITING, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(writing, fcntl.LOCK_EX)
        if not (folder / _READY).exists():
            sweep()
            _write(folder, shapes, fill)
    finally:
        os.close(writing)


def _write(folder: Path, shapes: Shapes, fill: Callable[[Put], None]) -> None:
    size = sum(4 * int(np.prod(shape)) for shape in shapes.values())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise _too_small(folder, size, f"{free / 2**30:.1f} GiB are free")
    with _opened(folder, shapes, size) as put:
        fill(put)
    (folder / _READY).touch()


@contextmanager
def _opened(folder: Path, shapes: Shapes, size: int) -> Iterator[Put]:
    files = {name: os.open(_file(folder, name), os.O_CREAT | os.O_RDWR, 0o600) for name in shapes}

    def put(name: str, first: int, rows: np.ndarray) -> None:
        data = np.ascontiguousarray(rows, np.float32).reshape(len(rows), *shapes[name][1:])
        assert first + len(data) <= shapes[name][0]
        if not data.size:
            return
        left, at = memoryview(data.data).cast("B"), first * data[:1].nbytes
        try:
            while left:  # and not through the mapping: where the disk is full, that ends the process without a word
                written = os.pwrite(files[name], left, at)
                left, at = left[written:], at + written
        except OSError as error:
            raise _too_small(folder, size, str(error.strerror)) from error

    try:
        for name, shape in shapes.items():
            os.truncate(files[name], 4 * int(np.prod(shape)))
        yield put
    finally:
        for file in files.values():
            os.close(file)


def _too_small(folder: Path, size: int, why: str) -> UserError:
    return UserError(
        f"{folder.parent} has no place for {size / 2**30:.1f} GiB of landmarks, which are too many for memory ({why}); "
        "set SIGFLOW_SPOOL to a folder on a larger disk, or read fewer parts"
    )


def _is_its(folder: Path, lock: int) -> bool:
    """Whether the folder still has this lock; it may have been removed, and made anew."""
    try:
        return os.path.samestat(os.stat(folder / _LOCK), os.fstat(lock))
    except FileNotFoundError:
        return False


def _close(folder: Path | None, lock: int) -> None:
    os.close(lock)
    if folder is not None:
        _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_its(folder, lock):  # out of the way at once, so that nobody opens what is half removed
                shutil.rmtree(folder.rename(folder.with_name(f"gone-{uuid.uuid4().hex}")), ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.f32"


def _memory() -> int:
    """Bytes that this machine has, or the container that it is."""
    told = [file.read_text().strip() for file in _CONTAINER_LIMITS if file.exists()]
    return min(int(psutil.virtual_memory().total), *(int(limit) for limit in told if limit != "max"), 2**62)
