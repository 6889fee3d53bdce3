"""Trials as Ray Tune runs them: proposed by Optuna, stopped by ASHA, side by side, each on its share of a device.

All trials of a node read the same clips, without a copy (`sharing`). What has ended is in the search's folder and
nowhere else: a search that is gone on with tells Optuna and ASHA of it first. A trial whose worker dies begins anew;
what the trial itself raises is its result.
"""

import logging
import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, floor, inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
import ray.tune
import torch
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter, Searcher

from sigflow.audit import Plan
from sigflow.data.folds import Fold
from sigflow.pipelines import meters
from sigflow.pipelines.desk import Desk
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.sharing import borrowed_clips, shared_clips
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.tuning import Standing, Trial, train_in_turn
from sigflow.tuning.trials import sign_of

_KEPT = 3  # one in so many goes on after 1, 3, 9, ... folds
_PER_GPU = 4  # trials: the models are small, and a step of one alone leaves most of a GPU idle
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # nobody reads its CSV, JSON and TensorBoard files
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the job, as it does every other
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer output talks on stdout even when it is told not to
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


@dataclass(frozen=True)
class Task:
    """What all trials share. `clips`, `unlabelled`: of `shared_clips`."""

    recipes: Mapping[str, Recipe]
    clips: Any
    unlabelled: Any
    labels: Sequence[str]
    folds: Sequence[Fold]
    sign: int
    deadline: float | None


def run_trials(desk: Desk, plans: Mapping[str, Plan], out: Location, concurrent: int | None) -> None:
    """Run what `desk` hands out until it has no more; it is told of each trial's end."""
    plan = next(iter(plans.values()))
    cpus, gpus = devices()
    number, share = shares(concurrent, cpus=cpus, gpus=gpus)
    with shared_clips(plan.clips, plan.free) as (clips, unlabelled), quiet():
        task = Task(
            recipes=desk.recipes, clips=clips, unlabelled=unlabelled,
            labels=plan.labels, folds=plan.folds.folds, sign=sign_of(desk.score), deadline=desk.deadline,
        )  # fmt: skip
        ray.tune.Tuner(
            ray.tune.with_resources(ray.tune.with_parameters(_trial, task=task), share),
            tune_config=ray.tune.TuneConfig(
                search_alg=ConcurrencyLimiter(_Searcher(desk), number),
                scheduler=make_asha(len(task.folds), desk.trials, task.sign),
                num_samples=sys.maxsize,  # the desk knows when to end
                reuse_actors=True,  # a worker's start-up takes seconds
                trial_dirname_creator=lambda trial: str(trial.trial_id),
            ),
            run_config=ray.tune.RunConfig(
                name=f"sigflow-{uuid.uuid4().hex[:8]}",  # Ray would silently resume a search of the same name
                storage_path=(out / "ray").uri,
                failure_config=ray.tune.FailureConfig(max_failures=2),  # of a worker or node
                callbacks=[_Ends(desk)],
                verbose=0,
            ),
        ).fit()


def devices() -> tuple[int, int]:
    """CPUs and GPUs for trials; the CPUs of machines with GPUs alone, where there are some.

    Raises:
        UserError: there are none.
    """
    there = reach()
    gpus = there.places({"GPU": 1})
    refuse_impossible(there, {"GPU": 1} if gpus else {"CPU": 1}, 1, "a trial")
    return (there.with_gpus() if gpus else there).places({"CPU": 1}), gpus


def shares(asked: int | None, *, cpus: int, gpus: int) -> tuple[int, dict[str, float]]:
    """How many trials run side by side, and what each gets: a CPU at the most, and the same part of a GPU for all."""
    number = asked or (gpus * _PER_GPU if gpus else cpus)
    share = {"cpu": min(1.0, floor(1e4 * cpus / number) / 1e4)}  # Ray counts in ten-thousandths
    return number, share | ({"gpu": floor(1e4 / ceil(number / gpus)) / 1e4} if gpus else {})


def make_asha(folds: int, trials: Sequence[Trial], sign: int) -> ASHAScheduler:
    """A trial that is not in the best third after a fold, or after three, is stopped (Li et al. 2020).

    `trials`: of the same search, before it was interrupted. All trials have the same first fold, so that they are
    compared on the same clips.
    """
    asha = ASHAScheduler(
        time_attr="folds", metric="score", mode="max", max_t=folds, grace_period=1, reduction_factor=_KEPT
    )
    for trial in trials:
        then = SimpleNamespace(trial_id=f"before_{trial.number}")  # of a trial it looks at nothing else
        asha.on_trial_add(None, then)
        for count in range(1, len(trial.scores) + 1):
            asha.on_trial_result(None, then, _result(Standing(trial.scores[:count]), sign))
    return asha


def _trial(config: dict[str, Any], *, task: Task) -> None:
    """One trial in its worker."""
    torch.set_num_threads(1)  # the CPU that it asked for, or a part of it
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # Ray hides a GPU that was not asked for
    with borrowed_clips(task.clips, task.unlabelled) as (clips, unlabelled):
        for standing in train_in_turn(
            task.recipes[config["recipe"]], config["overrides"], clips, task.labels, task.folds,
            unlabelled=unlabelled, device=device, deadline=task.deadline,
        ):  # fmt: skip
            ray.tune.report(_result(standing, task.sign))


def _result(standing: Standing, sign: int) -> dict[str, Any]:
    scores = standing.scores
    mean = sign * sum(scores) / len(scores) if scores else -inf
    return {"folds": len(scores), "score": mean, "standing": standing}


class _Searcher(Searcher):  # type: ignore[misc]
    """Ray Tune's way to ask the desk. What is worth keeping of a search is in its folder."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(metric="score", mode="max")
        self._desk = desk

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        given = self._desk.hand_out(trial_id)
        return Searcher.FINISHED if given is None else {"recipe": given[0], "overrides": given[1]}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The desk hears of it from `_Ends`, with the error."""

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a search is gone on with from its own folder")


class _Ends(ray.tune.Callback):  # type: ignore[misc]
    """Ray Tune's way to tell the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._counted = desk, len(desk.trials)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._desk.started(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._desk.stands(trial.trial_id, Standing(*result["standing"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._desk.ended(trial.trial_id)
        self._count()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._desk.ended(trial.trial_id, died=str(trial.get_error() or "for no known reason"))
        self._count()

    def _count(self) -> None:
        """Those too that failed before they were begun."""
        for trial in self._desk.trials[self._counted :]:
            meters.count("tune_trials_total", 1, state=trial.state)
        self._counted = len(self._desk.trials)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Ray Tune writes for others: the desk says what there is to say."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray.air")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
