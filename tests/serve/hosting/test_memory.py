"""If this fails, a server that was sent a few large bodies keeps their memory for ever."""

import subprocess
import sys

CHILD = """
import psutil
from serve.hosting.memory import return_large_blocks

def resident():
    return psutil.Process().memory_info().rss

return_large_blocks()
bytes(16 << 20)  # from here on glibc would cut blocks of up to this size from its heap
before = resident()
large, small = [], []
for _ in range(64):
    large.append(b"x" * (1 << 20))
    small.append(b"y" * 30_000)
large.clear()  # the small ones stay
print(resident() - before)
"""


def test_the_memory_of_large_blocks_goes_back_though_small_ones_stay() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 << 20
