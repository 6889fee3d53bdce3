"""What Ray Tune adds to a trial: a search, against the same folds trained with the same settings one after the other.

Both on one CPU, on a few made-up clips and one epoch a fold, so that what is added is not lost in what is trained:
python -m tests.bench.tuning
"""

import json
import tempfile
import time
import warnings
from dataclasses import replace

import pyarrow as pa
import ray
import torch

from sigflow.audit import make_plan
from sigflow.pipelines.desk import Desk
from sigflow.pipelines.job import disconnect
from sigflow.pipelines.search import run_trials
from sigflow.recipes.catalogue import find_space
from sigflow.recipes.isolated_gestures import RECIPE as ISOLATED
from sigflow.recipes.recipe import override
from sigflow.storage import locate
from sigflow.tuning import Proposer, train_in_turn
from tests.recipes.test_catalogue import moving_clips

TRIALS, FOLDS = 41, 3
RECIPE = override(ISOLATED, ["train.epochs=1"])


def main() -> None:
    """One JSON line."""
    torch.set_num_threads(1)
    clips = moving_clips(RECIPE, each=16)
    clips = replace(clips, table=clips.table.append_column("split", pa.nulls(len(clips), pa.string())))
    plan = make_plan(RECIPE, clips, folds_spec=str(FOLDS))
    space = find_space(RECIPE)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        out = locate(folder)
        desk = Desk(
            out, {RECIPE.name: RECIPE}, Proposer({RECIPE.name: space}, "random", "macro_f1", seed=0),
            score="macro_f1", folds=FOLDS, first=[], trials=[], most=TRIALS, limit_s=None,
            refusal=lambda recipe, overrides: None,
        )  # fmt: skip
        run_trials(desk, {RECIPE.name: plan}, out, 1)
    disconnect()
    first, *others = sorted(desk.trials, key=lambda trial: trial.number)
    in_tune = others[-1].ended_s - first.ended_s  # without the worker's start, which comes once
    bare = 0.0
    for trial in (first, *others):
        begun = time.perf_counter()
        folds = plan.folds.folds[: len(trial.scores)]
        for standing in train_in_turn(RECIPE, trial.overrides, plan.clips, plan.labels, folds):
            assert standing.failed is None
        bare += (time.perf_counter() - begun) * (trial is not first)
    print(
        json.dumps(
            {
                "trials": len(others), "folds": sum(len(trial.scores) for trial in others),
                "tune_s": round(in_tune, 2), "bare_s": round(bare, 2),
                "overhead_s_per_trial": round((in_tune - bare) / len(others), 3), "first_trial_s": first.ended_s,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
