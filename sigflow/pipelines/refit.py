"""Members of an ensemble trained once more, on all clips but the holdout's: one Ray task each, placed as training is.

What is done is kept under the bundle's folder (`sigflow.ensemble.refits`), so that after a kill the same command trains
only what is missing.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
import torch

from sigflow import runs
from sigflow.ensemble import Ensemble, Member, Pool
from sigflow.ensemble.refits import refit_is_done, refit_place, write_refit
from sigflow.errors import UserError
from sigflow.pipelines.job import connect
from sigflow.pipelines.material import Material
from sigflow.pipelines.mesh import per_worker
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.sharing import borrowed_clips, shared_clips
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.training import Whole, fit_whole
from sigflow.training.course import Course, courses_of

_SAY_EVERY_S = 30.0


@dataclass(frozen=True)
class _Task:
    """One member's refit, as its worker gets it. `clips`, `unlabelled`: of `shared_clips`."""

    recipe: Recipe
    labels: Sequence[str]
    number: int
    courses: tuple[Course, ...]
    shares: tuple[float, ...]
    rows: np.ndarray
    clips: Any
    unlabelled: Any


def refuse_refit(pool: Pool) -> None:
    """Before anything is trained or chosen.

    Raises:
        UserError: there is no holdout to judge a refit by, or a run began with weights that are not there any more.
    """
    if not pool.runs[0].holdout:
        raise UserError(
            f"--refit trains on every clip of every fold, and nobody is left to judge it by: {pool.places[0]} has no "
            "holdout; train again with jobs/train.py --holdout SUBJECT,..., or leave out --refit"
        )
    for place, run in zip(pool.places, pool.runs, strict=True):
        if run.init:
            raise UserError(
                f"{place} began with the weights of another run (--init), which --refit cannot find again; leave out "
                "that run, or --refit"
            )


def refitted(ensemble: Ensemble, material: Material, out: Location) -> Ensemble | str:
    """The ensemble with one model in place of each member's fold models; or why there is none: one diverged.

    Weights and temperature stay: they were fitted on out-of-fold predictions, and of these models there are none.

    Raises:
        UserError: the cluster could never train one, or not every node can read the clips.
    """
    rows = np.flatnonzero(material.plan.inside)
    members: list[Member] = []
    todo: dict[Location, _Task] = {}
    for member in ensemble.members:
        task = _task(member, rows)
        said = [course.model_dump() for course in task.courses]
        place = refit_place(out, member.run, [said, task.shares])
        members.append(replace(member, refit=place))
        epochs = ", ".join(f"{course.epochs}" for course in task.courses)
        words = f"refit: {member.place.name} on {len(rows)} clips, {epochs} epochs (mean of its folds' best)"
        if refit_is_done(place):
            words += ", done before"
        else:
            todo[place] = task
        print(words, file=sys.stderr, flush=True)
    reason = _train(todo, material) if todo else ""
    return reason or replace(ensemble, members=tuple(members))


def _task(member: Member, rows: np.ndarray) -> _Task:
    run, folds = member.run, range(member.run.num_folds)
    histories = [runs.read_fold_summary(member.place, fold)["history"] for fold in folds]
    found = [runs.read_fold_weights(member.place, fold).get("model.weights") for fold in folds]
    shares = [each for each in found if each is not None]  # of a portfolio's members
    return _Task(
        run.recipe, run.labels, run.num_folds, courses_of(run.recipe, len(run.labels), histories),
        tuple(torch.stack(shares).mean(0).tolist()) if shares else (), rows, None, None,
    )  # fmt: skip


def _train(todo: dict[Location, _Task], material: Material) -> str:
    """All of them, committed one by one; why one cannot be, or nothing."""
    connect()
    there = reach()
    gpu = there.places(per_worker(True)) > 0
    refuse_impossible(there, per_worker(gpu), 1, "--refit")
    share = per_worker(gpu)
    worker = ray.remote(num_cpus=share.get("CPU", 0), num_gpus=share.get("GPU", 0))(_work)
    free = material.plan.free if any(task.recipe.pretraining.epochs for task in todo.values()) else None
    reason, begun = "", time.monotonic()
    with shared_clips(material.clips, free) as (clips, unlabelled):
        waiting = {
            worker.remote(replace(task, clips=clips, unlabelled=unlabelled)): place for place, task in todo.items()
        }
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=_SAY_EVERY_S)
            for reference in done:
                place = waiting.pop(reference)
                reason = _commit(place, todo[place], reference) or reason
            spent = time.monotonic() - begun
            print(f"refit: {len(todo) - len(waiting)} of {len(todo)} trained, {spent:.0f} s", file=sys.stderr)
    return reason


def _commit(place: Location, task: _Task, reference: Any) -> str:
    try:
        found: Whole | str = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, UserError) else error) from error
    if isinstance(found, str):
        return found
    told = {"key": place.name, "clips": len(task.rows), "courses": [course.model_dump() for course in task.courses]}
    write_refit(place, found.weights, told | {"history": found.history})
    return ""


def _work(task: _Task) -> Whole | str:
    """In a worker."""
    torch.set_num_threads(1)  # the CPU that it asked for
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # Ray hides a GPU that was not asked for
    with borrowed_clips(task.clips, task.unlabelled) as (clips, unlabelled):
        parts, pretrained = task.recipe.parts, task.recipe.pretraining.epochs
        try:
            return fit_whole(
                task.recipe, clips.read_by(parts), task.labels, task.rows, task.courses, task.shares,
                number=task.number, device=device,
                unlabelled=unlabelled.read_by(parts) if unlabelled is not None and pretrained else None,
            )  # fmt: skip
        except UserError as error:  # it would come again, however often it was tried; fold models are there
            return str(error)
