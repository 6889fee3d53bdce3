"""Which weights of an earlier run each fold may begin with."""

import numpy as np

from sigflow import runs
from sigflow.data.clips import Clips
from sigflow.data.folds import UNLABELLED, Folds
from sigflow.errors import UserError
from sigflow.storage import Location
from sigflow.training import Start


def starts(clips: Clips, folds: Folds, init: Location) -> dict[int, int]:
    """For each fold, which fold of the run `init` it may begin with: one that has seen no clip that is tested here.

    Clips are the same where their ids are, whatever was added, left out or read besides; the holdout is tested too.

    Raises:
        UserError: `init` is not finished, or all of its folds saw clips that are tested here.
    """
    theirs = runs.read_run(init)
    runs.read_oof(init)  # or refuses
    ids = np.array(clips.column("clip_id"))
    seen: dict[int, set[str]] = {number: set() for number in range(theirs.num_folds)}
    for row in (init / "folds.parquet").read_parquet().to_pylist():
        if row["role"] in ("train", "stop", UNLABELLED):
            seen[row["fold"]].add(row["clip_id"])
    found = {}
    for fold in folds.folds:
        tested = ids[np.concatenate([fold.test, folds.holdout]).astype(int)]
        clean = [number for number in seen if seen[number].isdisjoint(tested)]
        if not clean:
            raise UserError(
                f"--init {init} was trained on clips that fold {fold.number} or the holdout tests here; use the same "
                "--folds and --holdout"
            )
        found[fold.number] = clean[fold.number % len(clean)]
    return found


def start_of(init: Location, fold: int) -> Start:
    """The weights of one of its folds."""
    run = runs.read_run(init)
    return Start(runs.read_fold_weights(init, fold), run.labels, run.recipe)
