"""How much an ensemble may cost."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Limits of a set of runs; None: no limit.

    Attributes:
        max_members: how many different runs.
        max_ms: milliseconds a clip of all of them, where `ms` has those of each. Members share what they compute alike,
            so that the sum is more than the ensemble takes.
    """

    max_members: int | None = None
    max_ms: float | None = None
    ms: tuple[float, ...] = ()

    def allows(self, runs: Iterable[int]) -> bool:
        """Whether these runs fit together."""
        chosen = set(runs)
        few = self.max_members is None or len(chosen) <= self.max_members
        return few and (self.max_ms is None or sum(self.ms[run] for run in chosen) <= self.max_ms)

    def fitting(self, runs: Iterable[int]) -> tuple[int, ...]:
        """As many as fit, in this order; one that does not is passed over."""
        taken: tuple[int, ...] = ()
        for run in runs:
            if self.allows((*taken, run)):
                taken = (*taken, run)
        return taken
