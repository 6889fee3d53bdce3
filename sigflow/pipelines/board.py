"""What all folds are doing, side by side, while they are trained.

Workers tell an actor of their epochs and do not wait for it; the driver reads it now and then. It holds nothing that is
needed: when it is lost, only the lines on the terminal are.
"""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError
from tqdm import tqdm

from sigflow import runs
from sigflow.data.folds import Fold
from sigflow.monitors import Epoch
from sigflow.pipelines import meters
from sigflow.recipes.ways import TrainConfig
from sigflow.storage import Location

_LOOK_EVERY_S = 1.0
_SAY_EVERY_S = 30.0  # where there is no terminal whose line can be replaced


class Board:
    """The last epoch of each fold, and why one cannot be trained."""

    def __init__(self) -> None:
        self._last: dict[int, Epoch] = {}
        self._failures: dict[int, str] = {}

    def say(self, fold: int, epoch: Epoch, ended: int) -> None:
        """Called by workers: the last epoch of a fold, and how many they ended since they called before."""
        self._last[fold] = epoch
        meters.count("train_epochs_total", ended)

    def fail(self, fold: int, reason: str) -> None:
        """Called by workers."""
        self._failures[fold] = reason

    def failures(self) -> dict[int, str]:
        """Called by the driver."""
        return self._failures

    def read(self) -> dict[int, Epoch]:
        """Called by the driver."""
        return self._last


class Teller:
    """Tells the board of a worker's epochs, at most once a second: small epochs are shorter than a message takes."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self._told_s = 0.0
        self._untold: list[tuple[int, Epoch]] = []

    def say(self, fold: int, epoch: Epoch) -> None:
        """An epoch has ended."""
        self._untold.append((fold, epoch))
        if time.monotonic() - self._told_s >= _LOOK_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Tell what has not been told."""
        if self._untold:
            self._board.say.remote(*self._untold[-1], len(self._untold))
        self._untold, self._told_s = [], time.monotonic()


@contextmanager
def watch(board: Any, out: Location, run: runs.Run, todo: Sequence[Fold]) -> Iterator[threading.Event]:
    """Say on stderr how far each fold is, and when one is complete; the event is set when all are."""
    ended, complete = threading.Event(), threading.Event()
    thread = threading.Thread(target=_watch, args=(board, out, run, todo, ended, complete), daemon=True)
    thread.start()
    try:
        yield complete
    finally:
        ended.set()
        thread.join()


def _watch(
    board: Any,
    out: Location,
    run: runs.Run,
    todo: Sequence[Fold],
    ended: threading.Event,
    complete: threading.Event,
) -> None:
    waiting = {fold.number for fold in todo}
    meters.say("train_folds_left", len(waiting))
    score = run.recipe.score
    started = said = time.monotonic()
    line = tqdm(bar_format="{desc}", file=sys.stderr) if sys.stderr.isatty() else None
    last = False
    while waiting and not last:
        last = ended.wait(_LOOK_EVERY_S)
        for number in sorted(waiting):
            if runs.fold_is_done(out, number, run.key):
                waiting.discard(number)
                meters.count("train_folds_total", 1)
                meters.say("train_folds_left", len(waiting))
                fold = runs.read_fold_summary(out, number)
                tqdm.write(
                    f"train: fold {number + 1}/{run.num_folds} {score} {fold['metrics'][score]:.3f}, "
                    f"epoch {fold['best_epoch']} of {len(fold['history'])}",
                    file=sys.stderr,
                )  # fmt: skip
        if not waiting:
            complete.set()
        if line is None and time.monotonic() - said < _SAY_EVERY_S:
            continue
        try:
            epochs: dict[int, Epoch] = ray.get(board.read.remote(), timeout=5.0)
        except RayError:
            continue
        words = progress({n: e for n, e in epochs.items() if n in waiting}, run.recipe.train, waiting, started)
        if line is not None:
            line.set_description_str(words)
        elif epochs:
            said = time.monotonic()
            print(words, file=sys.stderr, flush=True)
    if line is not None:
        line.close()


def progress(epochs: dict[int, Epoch], config: TrainConfig, waiting: set[int], started: float) -> str:
    """One line: of each fold its epoch, of at most so many, and losses; then the seconds so far."""
    each = [
        f"fold {number + 1} epoch {epoch['epoch']}/{config.epochs} loss {epoch['loss']:.3f} "
        f"stop {epoch['stop_loss']:.3f}"
        for number, epoch in sorted(epochs.items())
    ]
    return f"train: {len(waiting)} folds to go | " + " | ".join(each) + f" | {time.monotonic() - started:.0f} s"
