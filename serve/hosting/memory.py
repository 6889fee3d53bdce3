"""Large bodies leave no memory behind."""

import ctypes
from contextlib import suppress

# malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 64 << 10  # a socket is read in pieces of that


def return_large_blocks() -> None:
    """From now on this process gives each large block back to the system when it is freed. Without glibc: nothing.

    glibc by itself does so only until the first of them is freed: blocks up to that one's size are then cut from a heap
    that shrinks no further than to the last small block in use, and a process that was sent bombs grows for hours.
    Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    with suppress(OSError, AttributeError):
        change = ctypes.CDLL(None).mallopt
        change(_MMAP_THRESHOLD, _LARGE_BYTES)
        change(_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
