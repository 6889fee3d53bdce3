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
from sigflow.data.clips import Clips
from sigflow.ensemble import Ensemble, Member, Pool
from sigflow.ensemble.refits import refit_is_done, refit_place, write_refit
from sigflow.errors import UserError
from sigflow.pipelines.job import connect
from sigflow.pipelines.material import Material
from sigflow.pipelines.placement import per_worker, reach, refuse_impossible
from sigflow.pipelines.sharing import borrowed_clips, shared_clips
from sigflow.storage import Location
from sigflow.training import Whole, fit_whole
from sigflow.training.course import Course, courses_of

_SAY_EVERY_S = 30.0


@dataclass(frozen=True)
class Refit:
    """One member's, to be trained on the clips `rows`. `shares`: of a portfolio's members, the mean of the folds'."""

    run: runs.Run
    courses: tuple[Course, ...]
    shares: tuple[float, ...]
    rows: np.ndarray

    def place(self, out: Location) -> Location:
        """Where it lies when it is done."""
        return refit_place(out, self.run, [[course.model_dump() for course in self.courses], self.shares])

    def train(self, clips: Clips, unlabelled: Clips | None, device: torch.device) -> Whole:
        """In this process. The clips may have parts that its recipe does not read.

        Raises:
            UserError: it diverged.
        """
        recipe = self.run.recipe
        if unlabelled is not None:
            unlabelled = unlabelled.read_by(recipe.parts) if recipe.pretraining.epochs else None
        return fit_whole(
            recipe, clips.read_by(recipe.parts), self.run.labels, self.rows, self.courses, self.shares,
            number=self.run.num_folds, device=device, unlabelled=unlabelled,
        )  # fmt: skip

    def commit(self, out: Location, trained: Whole) -> None:
        """Keep it."""
        place, courses = self.place(out), [course.model_dump() for course in self.courses]
        told = {"key": place.name, "clips": len(self.rows), "courses": courses, "history": trained.history}
        write_refit(place, trained.weights, told)


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


def refit_of(member: Member, material: Material) -> Refit:
    """What is to be trained: for how long, its folds say."""
    run, folds = member.run, range(member.run.num_folds)
    histories = [runs.read_fold_summary(member.place, fold)["history"] for fold in folds]
    found = [runs.read_fold_weights(member.place, fold).get("model.weights") for fold in folds]
    shares = [each for each in found if each is not None]  # only a portfolio has them
    return Refit(
        run, courses_of(run.recipe, len(run.labels), histories),
        tuple(torch.stack(shares).mean(0).tolist()) if shares else (), np.flatnonzero(material.plan.inside),
    )  # fmt: skip


def refitted(ensemble: Ensemble, material: Material, out: Location) -> Ensemble | str:
    """The ensemble with one model in place of each member's fold models; or why there is none: one diverged.

    Weights and temperature stay: they were fitted on out-of-fold predictions, and of these models there are none. A run
    that went on with other settings is trained with its last ones from the beginning.

    Raises:
        UserError: the cluster could never train one, or not every node can read the clips.
    """
    members, todo = [], []
    for member in ensemble.members:
        refit = refit_of(member, material)
        members.append(replace(member, refit=refit.place(out)))
        epochs = ", ".join(f"{course.epochs}" for course in refit.courses)
        words = f"refit: {member.place.name} on {len(refit.rows)} clips, {epochs} epochs (mean of its folds' best)"
        if refit_is_done(refit.place(out)):
            words += ", done before"
        else:
            todo.append(refit)
        print(words, file=sys.stderr, flush=True)
    reason = _train(todo, material, out) if todo else ""
    return reason or replace(ensemble, members=tuple(members))


def _train(todo: Sequence[Refit], material: Material, out: Location) -> str:
    """All of them, committed one by one; why one cannot be, or nothing."""
    connect()
    there = reach()
    gpu = there.places(per_worker(True)) > 0
    refuse_impossible(there, per_worker(gpu), 1, "--refit")
    share = per_worker(gpu)
    worker = ray.remote(num_cpus=share.get("CPU", 0), num_gpus=share.get("GPU", 0))(_work)
    free = material.plan.free if any(refit.run.recipe.pretraining.epochs for refit in todo) else None
    reason, begun = "", time.monotonic()
    with shared_clips(material.clips, free) as shared:
        # In a list, or Ray would put the clips themselves in the place of where they are.
        waiting = {worker.remote(refit, list(shared)): refit for refit in todo}
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=_SAY_EVERY_S)
            for reference in done:
                trained, refit = _result(reference), waiting.pop(reference)
                if isinstance(trained, str):
                    reason = trained
                else:
                    refit.commit(out, trained)
            spent = time.monotonic() - begun
            print(f"refit: {len(todo) - len(waiting)} of {len(todo)} trained, {spent:.0f} s", file=sys.stderr)
    return reason


def _result(reference: Any) -> Whole | str:
    try:
        trained: Whole | str = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, UserError) else error) from error
    return trained


def _work(refit: Refit, shared: Sequence[Any]) -> Whole | str:
    """In a worker. `shared`: of `shared_clips`."""
    torch.set_num_threads(1)  # the CPU that it asked for
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # Ray hides a GPU that was not asked for
    with borrowed_clips(*shared) as (clips, unlabelled):
        try:
            return refit.train(clips, unlabelled, device)
        except UserError as error:  # it would come again, however often it was tried; fold models are there
            return str(error)
