"""How often somebody may ask: a bucket of tokens each, in this replica alone."""

import math
from collections import OrderedDict


class Rates:
    """Token buckets. Of more than `most` askers, those who were not seen for longest are forgotten."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def wait_s(self, asker: str, rate: float, burst: float, now: float) -> int:
        """0, and one token is gone; or so many whole seconds until there is one.

        Args:
            rate: tokens/s.
            burst: tokens of a full bucket.
            now: seconds of a clock that never goes back.
        """
        tokens, then = self._buckets.pop(asker, (burst, now))
        tokens = min(burst, tokens + (now - then) * rate)
        allowed = tokens >= 1
        self._buckets[asker] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - tokens) / rate))

    def __len__(self) -> int:
        return len(self._buckets)
