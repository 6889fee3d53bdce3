"""Checkpoints that are written after every epoch and noted, for trainings that are to be killed on the way.

Ray calls `install` in each worker process. A line of `fold_<k>/notes.txt`: the process, what it did, after which epoch.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sigflow.pipelines import fold_worker
from sigflow.training.checkpoint import Checkpoint, State

NOTES = "notes.txt"


class Note(NamedTuple):
    """`act`: "saved", or "loaded" with epoch 0 where there was nothing to go on from."""

    fold: int
    process: int
    act: str
    epoch: int


@dataclass
class Noted(Checkpoint):
    every_s: float = 0.0

    def save(self, state: State) -> None:
        super().save(state)
        self._note("saved", state)

    def load(self) -> State | None:
        state = super().load()
        self._note("loaded", state)
        return state

    def _note(self, act: str, state: State | None) -> None:
        file = Path(self.file.uri).with_name(NOTES)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as notes:
            notes.write(f"{os.getpid()} {act} {len(state['descent']['history']) if state else 0}\n")


def install() -> None:
    fold_worker.Checkpoint = Noted  # type: ignore[attr-defined]


def read_notes(run: Path) -> list[Note]:
    """All of them, of each fold in order."""
    found = []
    for file in sorted(run.glob(f"fold_*/{NOTES}")):
        for line in file.read_text().splitlines():
            process, act, epoch = line.split()
            found.append(Note(int(file.parent.name.removeprefix("fold_")), int(process), act, int(epoch)))
    return found
