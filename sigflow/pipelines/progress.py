"""How far a long job is: a bar on a terminal, sparse lines in logs."""

import sys
import time
from types import TracebackType

from tqdm import tqdm


class Progress:
    """Counts towards `total`; `advance` adds and shows a few words beside the bar."""

    def __init__(self, what: str, total: int, unit: str, *, every_s: float = 30.0) -> None:
        self._what, self._total, self._unit, self._every_s = what, total, unit, every_s
        self._done, self._started = 0, time.monotonic()
        self._said = self._started - every_s
        self._bar = tqdm(desc=what, total=total, unit=unit, file=sys.stderr) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start, never 0."""
        return max(time.monotonic() - self._started, 1e-9)

    @property
    def left(self) -> int:
        """How many are not done."""
        return self._total - self._done

    def advance(self, count: int, words: str = "") -> None:
        """`count` more are done."""
        self._done += count
        if self._bar is not None:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update(count)
            return
        now = time.monotonic()
        if now - self._said >= self._every_s or self._done >= self._total:
            self._said = now
            rate = self._done / self.elapsed_s
            left_s = (self._total - self._done) / rate if rate else 0.0
            comma = ", " if words else ""
            print(
                f"{self._what}: {self._done}/{self._total} {self._unit}, {words}{comma}{left_s:.0f} s left",
                file=sys.stderr, flush=True,
            )  # fmt: skip
