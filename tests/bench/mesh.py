"""The fold mesh against bare loops: 6 folds with one worker, with two, and by `training.fit` in this process.

One torch thread each, the same made-up clips. With one worker, two, two, one, and a bare fold before and after each: a
machine that slows down meanwhile slows all down alike. Figures are means of both runs. Start-up is the time from the
call of `train` until the first worker begins its first fold: audit, Ray and its workers. Everything after that counts:
the folds, files, metrics, report, the mesh's end. Two workers must need at most RATIO of one worker's time, and one
worker at most OVERHEAD more than the bare loops; exit 1 otherwise. Needs 2 cores that have nothing else to do:
`cpu_per_s` says how much of a core folds had, and with less than QUIET the answer is no.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from sigflow.audit import Plan
from sigflow.data.folds import Fold
from sigflow.landmarks.synthetic import GESTURES, SUBJECTS
from sigflow.pipelines.audit import prepare
from sigflow.pipelines.job import disconnect
from sigflow.pipelines.train import train
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import Location, locate
from sigflow.training import fit
from tests.bench.spans import Span, read_spans
from tests.conftest import write_gesture_landmarks

FOLDS, TAKES, EPOCHS = "6", 10, 100
ORDER = (1, 2, 2, 1)
RATIO, OVERHEAD = 0.60, 0.10
QUIET = 0.85  # seconds of a core that each second of training has to get, or nothing was measured
ROOT = Path(__file__).parents[2]


def bare(plan: Plan, folds: Sequence[Fold]) -> list[Span]:
    """The loops alone, fold after fold."""
    spans = []
    for fold in folds:
        begin_s, cpu_s = time.time(), time.process_time()
        fit(plan.recipe, plan.clips, plan.labels, fold)
        spans.append(Span(begin_s, time.time(), time.process_time() - cpu_s))
    return spans


def together(spans: Sequence[Span]) -> dict[str, float]:
    """Seconds of all, one after the other."""
    seconds = sum(span.end_s - span.begin_s for span in spans)
    return {
        "seconds": seconds,
        "a fold": seconds / len(spans),
        "cpu_per_s": sum(span.cpu_s for span in spans) / seconds,
    }


def mesh(recipe: Recipe, data: Location, out: Path, workers: int) -> dict[str, float]:
    """Seconds of a whole run, and what they went into; Ray is started for it, and stopped."""
    called = time.time()
    train(recipe, data, locate(out), folds_spec=FOLDS, workers=workers)
    returned = time.time()
    disconnect()
    spans = read_spans(out)
    begun, ended = min(span.begin_s for span in spans), max(span.end_s for span in spans)
    audited, measured, told = (written(out / name) for name in ("run.json", "metrics.json", "report/index.html"))
    return {
        "startup_s": begun - called,
        "seconds": returned - begun,
        "of startup: data and audit": audited - called,
        "of startup: Ray and its workers": begun - audited,
        "of seconds: folds": ended - begun,
        "of seconds: metrics": measured - ended,
        "of seconds: report": told - measured,
        "of seconds: end of the mesh, log of runs": returned - told,
        **{name: value for name, value in together(spans).items() if name != "seconds"},
    }


def written(file: Path) -> float:
    return file.stat().st_mtime


def main() -> int:
    """All figures as JSON; whether the targets are met."""
    torch.set_num_threads(1)
    job = {"runtime_env": {"worker_process_setup_hook": "tests.bench.spans.install",
                           "env_vars": {"PYTHONPATH": str(ROOT)}}}  # fmt: skip
    os.environ["RAY_JOB_CONFIG_JSON_ENV_VAR"] = json.dumps(job)
    recipe = override(find_recipe("isolated_gestures"), [f"train.epochs={EPOCHS}", f"train.patience={EPOCHS}"])
    with tempfile.TemporaryDirectory() as folder:
        data = write_gesture_landmarks(locate(folder) / "data", subjects=SUBJECTS, gestures=GESTURES, takes=TAKES)
        plan = prepare(recipe, data, folds_spec=FOLDS)
        runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        spans = bare(plan, plan.folds.folds[:1])
        for number, workers in enumerate(ORDER, 1):
            runs[workers].append(mesh(recipe, data, Path(folder) / f"runs/{number}", workers))
            spans += bare(plan, plan.folds.folds[number : number + 1 if number < len(ORDER) else None])
        found: dict[str, Any] = {
            f"workers={workers}": {name: fmean(run[name] for run in both) for name in both[0]}
            for workers, both in runs.items()
        }
        found["bare"] = together(spans)
    ratio = found["workers=2"]["seconds"] / found["workers=1"]["seconds"]
    overhead = found["workers=1"]["seconds"] / found["bare"]["seconds"] - 1
    least = min(figures["cpu_per_s"] for figures in found.values())
    met = {f"two workers need {ratio:.2f} of one's time, at most {RATIO:.2f}": ratio <= RATIO,
           f"overhead of one worker {overhead:.1%}, at most {OVERHEAD:.0%}": overhead <= OVERHEAD,
           f"a quiet machine: folds had {least:.2f} of a core, at least {QUIET:.2f}": least >= QUIET}  # fmt: skip
    for words, passed in met.items():
        print(f"{'met' if passed else 'MISSED'}: {words}", flush=True)
    rounded = {way: {name: round(value, 2) for name, value in figures.items()} for way, figures in found.items()}
    print(json.dumps({"folds": int(FOLDS), "ratio": round(ratio, 3), "overhead": round(overhead, 3), **rounded}))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
