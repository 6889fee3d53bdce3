"""A population of trainings as Ray Tune runs it: Ray's own scheduler copies the good ones' states into the bad ones.

Members wait for each other after every segment, so that they are compared after equally many epochs, and share the
devices meanwhile: one that waits is a checkpoint and holds none. Checkpoints are removed with the population.
"""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import ray
import ray.tune
import torch
from ray.tune.experiment import Trial as Member
from ray.tune.schedulers import PopulationBasedTraining

from sigflow.audit import Plan
from sigflow.data.folds import Fold
from sigflow.pipelines.desk import death
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.search import devices, quiet, shares
from sigflow.pipelines.sharing import borrowed_clips, shared_clips
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Space
from sigflow.storage import Location, locate
from sigflow.tuning import Overrides, Search
from sigflow.tuning.measure import LateError
from sigflow.tuning.population import (
    Step,
    first_settings,
    perturbed,
    read_population,
    segments_of,
    write_population,
)
from sigflow.tuning.segment import Stand, train_segment
from sigflow.tuning.trials import sign_of

_SEED = 0
_SHARE = 0.25  # of the population, from either end: copied and copied over
_KEPT = 3  # checkpoints of each member: the last one is restored while others write their next


@dataclass(frozen=True)
class Task:
    """What all members share. `clips`, `unlabelled`: of `shared_clips`; `key`: under which they know their states."""

    recipe: Recipe
    clips: Any
    unlabelled: Any
    labels: Sequence[str]
    fold: Fold
    segments: int
    sign: int
    key: str
    deadline: float | None


class _Note(NamedTuple):
    """What lies beside a member's state: whose it is, after which segment, and why there is none."""

    by: str = ""
    segment: int = 0
    reason: str | None = None


def populate(
    search: Search, plan: Plan, out: Location, *, members: int, concurrent: int | None, limit_s: float | None
) -> list[Step]:
    """The steps of this search's population; one that was interrupted begins anew.

    `limit_s`: of the whole search; half of it is for this.
    """
    if (there := read_population(out)) is not None:
        return there
    space = search.spaces[plan.recipe.name]
    print(f"tune: a population of {members} is trained on the first fold, and changes {', '.join(space)}; all else "
          "stays as the recipe has it", file=sys.stderr, flush=True)  # fmt: skip
    connect()
    refuse_unshared(out)
    steps = run_population(
        plan, space, out, members=members, key=search.key, concurrent=concurrent,
        limit_s=None if limit_s is None else limit_s / 2,
    )  # fmt: skip
    if steps:
        write_population(out, steps)
    else:
        print("warning: no member of the population ended a segment in time; --time-limit is too short for it",
              file=sys.stderr)  # fmt: skip
    return steps


def run_population(
    plan: Plan, space: Space, out: Location, *, members: int, key: str, concurrent: int | None,
    limit_s: float | None,
) -> list[Step]:  # fmt: skip
    """All steps of all members; with `limit_s` those that ended in time."""
    rng = np.random.default_rng(_SEED)
    recipe, fold, place = plan.recipe, plan.folds.folds[0], out / "ray" / "population"
    segments, firsts = segments_of(recipe, len(fold.train)), first_settings(recipe, space, members, rng)
    starts = [{"member": member, "settings": settings} for member, settings in enumerate(firsts)]
    cpus, gpus = devices()
    number, share = shares(concurrent, cpus=cpus, gpus=gpus)
    if not gpus and cpus > number:  # Ray's own limit counts those that wait too; so each takes more than it needs
        share["cpu"] = float(min(ceil(cpus / number), _largest()))
    log = _Log(recipe.score, segments, members, limit_s)
    place.delete_folder()  # of one that was killed
    with shared_clips(plan.clips, plan.free) as (clips, unlabelled), quiet():
        task = Task(
            recipe=recipe, clips=clips, unlabelled=unlabelled, labels=plan.labels, fold=fold, segments=segments,
            sign=sign_of(recipe.score), key=key, deadline=None if limit_s is None else time.time() + limit_s,
        )  # fmt: skip
        try:
            ray.tune.Tuner(
                ray.tune.with_resources(ray.tune.with_parameters(_member, task=task), share),
                param_space={"start": ray.tune.grid_search(starts)},
                tune_config=ray.tune.TuneConfig(
                    scheduler=InStep(
                        time_attr="segment", metric="score", mode="max", perturbation_interval=1, log_config=False,
                        quantile_fraction=_SHARE, synch=True,
                        custom_explore_fn=lambda config: _changed(config, space, rng),
                    ),
                    reuse_actors=True,
                    time_budget_s=limit_s,
                    trial_dirname_creator=lambda member: str(member.trial_id),
                ),
                run_config=ray.tune.RunConfig(
                    name="members",
                    storage_path=place.uri,
                    stop={"segment": segments},
                    checkpoint_config=ray.tune.CheckpointConfig(num_to_keep=_KEPT),
                    failure_config=ray.tune.FailureConfig(max_failures=2),  # of a worker or node
                    callbacks=[log],
                    verbose=0,
                ),
            ).fit()  # fmt: skip
        finally:
            with suppress(OSError):  # what is left takes room and harms nobody
                place.delete_folder()
    return log.steps


def _largest() -> int:
    """CPUs of the largest machine."""
    return int(max(node["Resources"].get("CPU", 1) for node in ray.nodes() if node["Alive"]))


def _changed(config: dict[str, Any], space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """A good member's start, for one that takes over its state."""
    start = config["start"]
    return {"start": start | {"settings": perturbed(start["settings"], space, rng)}}


def _member(config: dict[str, Any], *, task: Task) -> None:
    """One member in its worker, from where its checkpoint or that of another one is."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    me, settings, found = ray.tune.get_context().get_trial_id(), config["start"]["settings"], ray.tune.get_checkpoint()
    with borrowed_clips(task.clips, task.unlabelled) as (clips, unlabelled), TemporaryDirectory() as folder:
        note, file = _Note(), Path(folder) / "note.json"
        if found is not None:
            found.to_directory(folder)
            note = _Note(*json.loads(file.read_bytes()))
        while note.segment < task.segments:
            begun, segment = time.monotonic(), note.segment + 1
            try:
                stand = Stand(None, note.reason) if note.reason else train_segment(
                    task.recipe, settings, clips, task.labels, task.fold, locate(folder) / "state", key=task.key,
                    segment=segment, segments=task.segments, unlabelled=unlabelled, device=device,
                    deadline=task.deadline,
                )  # fmt: skip
            except LateError:
                return
            donor = note.by if note.by not in ("", me) else None
            note = _Note(me, segment, stand.reason)
            file.write_text(json.dumps(note))
            ray.tune.report(
                {
                    "segment": segment, "score": -inf if stand.score is None else task.sign * stand.score,
                    "stand": tuple(stand), "settings": settings, "donor": donor,
                    "seconds": round(time.monotonic() - begun, 2),
                },
                checkpoint=ray.tune.Checkpoint.from_directory(folder),
            )  # fmt: skip


class InStep(PopulationBasedTraining):  # type: ignore[misc]
    """Ray's, in step (`synch`), without its fault: there all wait for ever for a member that is lost."""

    def on_trial_error(self, tune_controller: Any, trial: Member) -> None:
        """Called for those too that Ray begins anew, which have the status ERROR for that moment."""
        if trial.status == Member.ERROR:
            return
        self._trial_state[trial].last_score = None  # nobody copies it
        live = tune_controller.get_live_trials()
        live.discard(trial)
        for other in live:
            last = self._trial_state[other].last_result
            if other.status == Member.PAUSED and last["segment"] >= self._next_perturbation_sync:
                self.on_trial_result(tune_controller, other, last)  # as if it came now: are all there?
                return


class _Log(ray.tune.Callback):  # type: ignore[misc]
    """What became of the members, told to people once all have ended a segment."""

    def __init__(self, score: str, segments: int, members: int, limit_s: float | None) -> None:
        self.steps: list[Step] = []
        self._score, self._segments, self._limit_s = score, segments, limit_s
        self._begun, self._told = time.monotonic(), 0
        self._numbers: dict[str, int] = {}
        self._there = dict.fromkeys(range(members), 0)  # members that go on, and how many segments they have ended

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._number(trial)  # now: a copy is given its donor's start later

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        stand, donor = Stand(*result["stand"]), result["donor"]
        self._add(
            trial, result["segment"], stand, result["settings"], result["seconds"],
            donor=None if donor is None else self._numbers[donor],
        )  # fmt: skip
        self._there[self._number(trial)] = result["segment"]
        self.tell()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        lost = Stand(None, death(str(trial.get_error() or "for no known reason")))
        before = self._there.pop(self._number(trial))
        self._add(trial, before + 1, lost, trial.config["start"]["settings"], 0.0)
        self.tell()

    def _number(self, trial: Any) -> int:
        return self._numbers.setdefault(trial.trial_id, trial.config["start"]["member"])

    def _add(
        self, trial: Any, segment: int, stand: Stand, settings: Overrides, seconds: float, donor: int | None = None
    ) -> None:
        self.steps.append(
            Step(
                segment=segment, member=self._number(trial), donor=donor, settings=settings, score=stand.score,
                reason=stand.reason, seconds=seconds, ended_s=round(time.monotonic() - self._begun, 2),
            )
        )  # fmt: skip

    def tell(self) -> None:
        """Of the last segment that all have ended, once."""
        segment = min(self._there.values(), default=0)
        if segment <= self._told:
            return
        self._told = segment
        now = [step for step in self.steps if step.segment == segment]
        scores = sorted((s.score for s in now if s.score is not None), key=lambda score: sign_of(self._score) * score)
        shown = f"{self._score} of the stop part {scores[0]:.4f} to {scores[-1]:.4f}" if scores else "no score"
        copies, failed = sum(s.donor is not None for s in now), [s for s in now if s.score is None]
        why = f", {len(failed)} failed ({failed[0].reason})" if failed else ""
        spent_s = time.monotonic() - self._begun
        left = "" if self._limit_s is None else f" | {max(0.0, self._limit_s - spent_s) / 60:.1f} min left for it"
        print(
            f"tune: population, segment {segment}/{self._segments}: {shown}, {len(now)} members, {copies} copied{why}"
            f"{left}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
