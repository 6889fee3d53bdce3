"""npy data read in bounds: the header is believed only as far as the bytes go, and nothing is ever unpickled."""

import tokenize
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy

from sigflow.data.importers.clip import ClipImportError


@runtime_checkable
class ByteStream(Protocol):
    """What files, members of archives and Arrow's streams have in common."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        ...


@dataclass(frozen=True)
class Header:
    """What an npy header promises."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool

    @property
    def num_bytes(self) -> int:
        """Bytes of the whole array, in Python's integers: a hostile shape cannot overflow them."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(stream: ByteStream) -> Header:
    """The header at the stream's position, which then stands at the data.

    Raises:
        ClipImportError: objects, which only unpickling (and so running code) would give.
        ValueError: no npy header, or a hostile one.
    """
    try:
        match npy.read_magic(stream):
            case (1, 0):
                shape, fortran_order, dtype = npy.read_array_header_1_0(stream)
            case (2, 0):
                shape, fortran_order, dtype = npy.read_array_header_2_0(stream)
            case version:
                raise ValueError(f"npy version {version} is for records; arrays of numbers or text are 1.0 or 2.0")
    except (SyntaxError, tokenize.TokenError, TypeError) as error:  # a header is a Python literal, or should be
        raise ValueError(f"its npy header cannot be read: {error}") from error
    if dtype.hasobject:
        raise ClipImportError("read", "it holds pickled objects, which are never loaded; save plain arrays")
    return Header(tuple(shape), dtype, fortran_order)


def read_exactly(stream: ByteStream, count: int) -> bytes:
    """`count` bytes, or EOFError."""
    data = stream.read(count)
    if len(data) < count:
        raise EOFError(f"truncated: {count} bytes of data promised, {len(data)} there")
    return data


def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether it holds plain numbers."""
    return dtype.kind in "fiu"


def to_float32(values: np.ndarray) -> np.ndarray:
    """float32; numbers too large for it become infinite, which the callers refuse."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
