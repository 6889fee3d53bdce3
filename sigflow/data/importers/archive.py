"""Arrays of an npz file, read as streams and in bounds that hold before anything is unpacked.

x may unpack to 16 GiB in all and to 256 MiB per clip, every other array to 64 MiB; no more memory than a range of
clips is ever taken, so that a small file which unpacks to much (a zip bomb) costs time at worst.
"""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np

from sigflow.data.importers.arrays import ByteStream, Header, is_real, read_exactly, read_header
from sigflow.data.importers.clip import ClipImportError
from sigflow.storage import Location

MAX_X_BYTES = 16 << 30
MAX_CLIP_BYTES = 256 << 20
MAX_COLUMN_BYTES = 64 << 20
_SKIP_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 18  # zipfile reads a few kB at a time, each of them a request in object storage


@contextmanager
def open_archive(file: Location) -> Iterator[zipfile.ZipFile]:
    """The npz file's directory; its arrays are members `<name>.npy`."""
    with file.open() as stream:
        buffered = io.BufferedReader(cast(io.RawIOBase, stream), _BUFFER_BYTES)
        with zipfile.ZipFile(buffered) as archive:
            yield archive


def array_names(archive: zipfile.ZipFile) -> list[str]:
    """Names as in `np.load(file).files`."""
    return [name.removesuffix(".npy") for name in archive.namelist()]


def x_header(archive: zipfile.ZipFile) -> Header:
    """The header of x, (N, T, F) or (N, T, P, 3), of numbers, within the bounds and none of its sizes below 1."""
    with _open_array(archive, "x") as (_, header):
        shape = header.shape
    if not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)) or min(shape) < 1 or not is_real(header.dtype):
        raise ClipImportError(
            "shape", f"x holds {header.dtype} of shape {shape}, not numbers (N, T, F) or (N, T, P, 3)"
        )
    if header.fortran_order:
        raise ClipImportError("shape", "x is in Fortran order; save numpy.ascontiguousarray(x)")
    if header.num_bytes > MAX_X_BYTES or header.num_bytes // shape[0] > MAX_CLIP_BYTES:
        raise ClipImportError(
            "read",
            f"x of shape {shape} unpacks to {header.num_bytes} bytes; {MAX_X_BYTES} in all and {MAX_CLIP_BYTES} per "
            "clip are the most",
        )
    return header


def x_rows(archive: zipfile.ZipFile, first: int, last: int) -> np.ndarray:
    """Clips `first` to `last` (excluded) of x, as stored. The checksum is verified where they include the last clip."""
    with _open_array(archive, "x") as (stream, header):
        clip_bytes = header.num_bytes // header.shape[0]
        left = first * clip_bytes
        while left:
            left -= len(read_exactly(stream, min(left, _SKIP_BYTES)))
        data = read_exactly(stream, (last - first) * clip_bytes)
        if last == header.shape[0]:
            stream.read(1)  # zipfile compares the checksum when it comes to the end
    return np.frombuffer(data, header.dtype).reshape(last - first, *header.shape[1:])


def column(archive: zipfile.ZipFile, name: str, count: int) -> np.ndarray:
    """An array with one whole number or text per clip, (N,)."""
    with _open_array(archive, name) as (stream, header):
        if header.shape != (count,) or header.dtype.kind not in "USiu":
            raise ClipImportError(
                "shape", f"{name} holds {header.dtype} of shape {header.shape}, not {count} texts or whole numbers"
            )
        if header.num_bytes > MAX_COLUMN_BYTES:
            raise ClipImportError("read", f"{name} unpacks to {header.num_bytes} bytes; {MAX_COLUMN_BYTES} is the most")
        return np.frombuffer(read_exactly(stream, header.num_bytes), header.dtype)


@contextmanager
def _open_array(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[ByteStream, Header]]:
    """The stream at the array's data, and its header."""
    if name not in array_names(archive):
        raise ClipImportError("shape", f"it has no array {name}; it has {', '.join(array_names(archive)[:10])}")
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as stream:
        header = read_header(stream)
        if header.num_bytes > member.file_size:
            raise ClipImportError(
                "read", f"{name} promises {header.num_bytes} bytes of data and unpacks to {member.file_size}"
            )
        yield stream, header
