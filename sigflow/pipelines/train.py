"""A recipe over all its folds: audited, trained on the mesh, judged, reported, recorded."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from sigflow import runs
from sigflow.audit import Plan, stop_on_errors
from sigflow.experiments import check_tracking, record
from sigflow.pipelines.audit import audit_and_tell, prepare
from sigflow.pipelines.finetune import start_of, starts
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.mesh import place, trained
from sigflow.recipes.recipe import Recipe
from sigflow.report.write import write_report
from sigflow.storage import Location
from sigflow.training import begin_with, build


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
        place(run.num_folds, run.num_folds, workers)  # or refuses, before anything is written
    ids = [str(clip_id) for clip_id in plan.clips.column("clip_id")]
    run = runs.start_run(
        out,
        run,
        plan.folds.table(ids, plan.pretrained_on.column("clip_id") if plan.pretrained_on else ()),
        resume=resume,
    )
    todo = [fold for fold in plan.folds.folds if not runs.fold_is_done(out, fold.number, run.key)]
    with ExitStack() as mesh:
        if todo:
            connect()
            refuse_unshared(out)
            mesh.enter_context(trained(run, plan, todo, out, workers, {"init": init, "begins": begins}))
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
