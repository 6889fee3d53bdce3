"""A fold that is under way, so that a killed training goes on where it was and ends with the same numbers."""

import io
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from sigflow.storage import Location

State = dict[str, Any]  # tensors, numbers, texts, and lists and dicts of them


@dataclass
class Checkpoint:
    """One file, replaced at once. `key` names the run and fold: a state of another one is never taken up.

    `older`: keys that the same run had before its settings were changed; their states are taken up too. `every_s`: how
    long a killed training may have to repeat; writing costs bandwidth.
    """

    file: Location
    key: str
    older: tuple[str, ...] = ()
    every_s: float = 20.0
    _written: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether the last one is old enough."""
        return time.monotonic() - self._written >= self.every_s

    def save(self, state: State) -> None:
        """Replace what is there."""
        stream = io.BytesIO()
        torch.save({"key": self.key, "state": state}, stream)
        self.file.write_bytes(stream.getvalue())
        self._written = time.monotonic()

    def load(self) -> State | None:
        """What was saved under one of the keys, or None. Nothing but data is read: a file cannot bring code along."""
        if not self.file.exists():
            return None
        try:
            found = torch.load(io.BytesIO(self.file.read_bytes()), map_location="cpu", weights_only=True)
        except Exception:  # torch raises what its reader stumbles over; a damaged state is none
            return None
        if not isinstance(found, dict) or found.get("key") not in (self.key, *self.older):
            return None
        state: State = found["state"]
        return state
