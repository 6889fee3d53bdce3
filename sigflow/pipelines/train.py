"""A recipe over all its folds, as one Ray Train run.

The fold mesh: W workers are T teams of W / T workers each; team t trains folds t, t + T, t + 2T, ... in turn. Start-up
is paid once, folds run side by side, and no team waits for another before the end. Only a team of several workers
exchanges gradients. Folds commit to the run's directory themselves, so a fold that is done is never trained again,
whatever fails later, and one that is under way goes on from its checkpoint. All workers of a node read the same clips,
without a copy (`sharing`).
"""

import os
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from sigflow import runs
from sigflow.audit import Plan, stop_on_errors
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.experiments import check_tracking, record
from sigflow.pipelines.audit import audit_and_tell, prepare
from sigflow.pipelines.board import Board, watch
from sigflow.pipelines.finetune import start_of, starts
from sigflow.pipelines.fold_worker import work
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.sharing import shared_clips
from sigflow.recipes.recipe import Recipe
from sigflow.report.write import write_report
from sigflow.storage import Location
from sigflow.training import begin_with, build

_LOOK_EVERY_S = 0.5  # Ray Train looks every 2 s whether workers have ended
_ONE_DAY_S = 86_400  # teams end at different times, and the last barrier waits for the slowest


def train(
    recipe: Recipe,
    data: Location,
    out: Location,
    *,
    folds_spec: str = "5",
    holdout: Sequence[str] = (),
    workers: int | None = None,
    resume: bool = False,
    force: Sequence[str] = (),
    init: Location | None = None,
) -> dict[str, Any]:
    """Audit the data, train every fold of `recipe` on it into the run directory `out`; give the run's metrics.

    `force`: codes of the audit's errors that are accepted. `init`: a finished run whose weights each fold begins with.

    Raises:
        UserError: the data cannot support the recipe or the folds, or `out` holds something else.
    """
    check_tracking()
    begun = time.monotonic()
    plan = prepare(recipe, data, folds_spec=folds_spec, holdout=holdout)
    run = _run_of(plan, data, folds_spec, holdout, init)
    build(run.recipe, len(run.labels))  # a model that cannot be made for this data ends the job before all else
    findings = audit_and_tell(plan)
    stop_on_errors(findings, force)
    begins = {}
    if init:
        begins = starts(plan.clips, plan.folds, init)
        begin_with(build(run.recipe, len(run.labels)), run.labels, start_of(init, begins[0]))  # or refuses
    if not (out / "metrics.json").exists():  # of a finished run nothing may be left to do
        connect()
        _place(run.num_folds, run.num_folds, workers)  # or refuses, before anything is written
    ids = [str(clip_id) for clip_id in plan.clips.column("clip_id")]
    run = runs.start_run(
        out,
        run,
        plan.folds.table(ids, plan.pretrained_on.column("clip_id") if plan.pretrained_on else ()),
        resume=resume,
    )
    todo = [fold for fold in plan.folds.folds if not runs.fold_is_done(out, fold.number, run.key)]
    if todo:
        connect()
        refuse_unshared(out)
        _train_folds(run, plan, todo, out, workers, {"init": init, "begins": begins})
    metrics = runs.finish_run(out, run, plan.clips)
    learnt = [*runs.missed_gates(metrics), *_alarms(out, run)]
    for line in learnt:
        print(f"warning: {line}", file=sys.stderr)
    told = [f"{f.code}: {f.evidence}; {f.mend}" for f in findings if f.severity != "info"]
    report = write_report(out, plan.clips, [*learnt, *told])
    metrics |= {"warnings": [*learnt, *told], "report": report.uri}
    for line in record(out, run, metrics, time.monotonic() - begun):
        print(f"warning: {line}", file=sys.stderr)
        metrics["warnings"].append(line)
    return metrics


def _run_of(plan: Plan, data: Location, folds_spec: str, holdout: Sequence[str], init: Location | None) -> runs.Run:
    return runs.Run(
        recipe=plan.recipe,
        data=data.uri,
        data_fingerprint=plan.fingerprint,
        extractor=str(plan.clips.column("extractor")[0]),
        labels=tuple(plan.labels),
        num_folds=len(plan.folds.folds),
        folds_spec=folds_spec,
        folds_fingerprint=plan.folds.fingerprint,
        holdout=tuple(holdout),
        subject_independent=plan.folds.subject_independent,
        init=runs.read_run(init).key if init else None,
    )


def _alarms(out: Location, run: runs.Run) -> list[str]:
    """What the monitors said of each fold."""
    return [
        f"fold {number} {alarm['code']}: {alarm['message']}{'; it was ended there' if alarm['stops'] else ''}"
        for number in range(run.num_folds)
        for alarm in runs.read_fold_summary(out, number)["alarms"]
    ]


@dataclass(frozen=True)
class _Mesh:
    """How many workers, in how many teams, on what."""

    workers: int
    teams: int
    gpus: bool


def plan_mesh(folds: int, todo: int, asked: int | None, *, cpus: int, gpus: int) -> _Mesh:
    """A worker per fold, as far as devices reach; more than one for a fold only where more are asked for.

    All teams have the same size, which only the number of all folds decides: a fold that is resumed when few are left
    goes on in a team as large as before, and with the same numbers.
    """
    devices = gpus or cpus
    wanted = min(asked or folds, devices)
    size = max(1, wanted // folds)
    teams = max(1, min(todo, wanted // size))
    return _Mesh(teams * size, teams, gpus > 0)


def per_worker(gpu: bool) -> dict[str, float]:
    """A whole device; of a machine with GPUs no CPU, so that nothing else can keep training from its GPUs."""
    return {"GPU": 1.0} if gpu else {"CPU": 1.0}


def most_workers() -> int:
    """How many `train` could be asked for here."""
    connect()
    there = reach()
    return max(there.places(per_worker(True)) or there.places(per_worker(False)), 1)


def _place(folds: int, todo: int, asked: int | None) -> _Mesh:
    """On GPUs where there are any or could be, on CPUs elsewhere.

    Raises:
        UserError: more workers are asked for than the cluster could ever run.
    """
    there = reach()
    gpus = there.places(per_worker(True))
    refuse_impossible(there, per_worker(gpus > 0), asked or 1, "training" if asked is None else f"--workers {asked}")
    return plan_mesh(folds, todo, asked, cpus=there.places(per_worker(False)), gpus=gpus)


def _train_folds(
    run: runs.Run, plan: Plan, todo: Sequence[Fold], out: Location, workers: int | None, more: dict[str, Any]
) -> None:
    mesh = _place(run.num_folds, len(todo), workers)
    board = ray.remote(num_cpus=0)(Board).remote()
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(_LOOK_EVERY_S))
    with shared_clips(plan.clips, plan.pretrained_on) as (clips, unlabelled), watch(board, out, run, todo):
        try:
            TorchTrainer(
                work,
                train_loop_config={
                    "run": run,
                    "clips": clips,
                    "unlabelled": unlabelled,
                    "todo": list(todo),
                    "out": out,
                    "teams": mesh.teams,
                    "board": board,
                    **more,
                },
                scaling_config=ScalingConfig(
                    num_workers=mesh.workers, use_gpu=mesh.gpus, resources_per_worker=per_worker(mesh.gpus)
                ),
                torch_config=TorchConfig(backend="nccl" if mesh.gpus else "gloo", timeout_s=_ONE_DAY_S),
                # A name of its own: Ray would silently resume a run of the same name.
                run_config=RunConfig(
                    name=f"sigflow-{uuid.uuid4().hex[:8]}",
                    storage_path=(out / "ray").uri,
                    failure_config=FailureConfig(max_failures=3),  # of a worker or node; folds go on where they were
                ),
            ).fit()
        except SystemExit:  # how Ray Train answers Ctrl-C
            raise KeyboardInterrupt from None
        except ray.train.TrainingFailedError as error:
            for cause in getattr(error, "worker_failures", {}).values():
                if isinstance(cause, UserError):
                    raise cause from error
            raise
    if failures := ray.get(board.failures.remote()):
        raise UserError(f"{'; '.join(failures.values())}; then go on with --resume, folds that are done stay")
