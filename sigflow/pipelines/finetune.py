"""Which weights of an earlier run each fold may begin with."""

from collections.abc import Sequence

import numpy as np

from sigflow import runs
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.storage import Location
from sigflow.training import Start


def starts(run: runs.Run, clips: Clips, folds: Sequence[Fold], init: Location) -> dict[int, int]:
    """For each fold, which fold of the run `init` it may begin with: one that has not seen the clips that are tested.

    Raises:
        UserError: `init` is not finished, or all of its folds saw clips that are tested here.
    """
    theirs = runs.read_run(init)
    runs.read_oof(init)  # or refuses
    if theirs.data_fingerprint != run.data_fingerprint:
        return {fold.number: fold.number % theirs.num_folds for fold in folds}
    ids = np.array(clips.column("clip_id"))
    seen: dict[int, set[str]] = {number: set() for number in range(theirs.num_folds)}
    for row in (init / "folds.parquet").read_parquet().to_pylist():
        if row["role"] in ("train", "stop"):
            seen[row["fold"]].add(row["clip_id"])
    found = {}
    for fold in folds:
        clean = [number for number in seen if seen[number].isdisjoint(ids[fold.test])]
        if not clean:
            raise UserError(
                f"--init {init} was trained on clips that fold {fold.number} tests here; use the same --folds"
            )
        found[fold.number] = clean[0]
    return found


def start_of(init: Location, fold: int) -> Start:
    """The weights of one of its folds."""
    return Start(runs.read_fold_weights(init, fold), runs.read_run(init).labels)
