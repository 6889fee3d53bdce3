"""A search for better settings of one recipe or several, in four steps: audit, trials, fresh folds, report.

With PBT a population comes before the trials, which then try what it found (`sigflow.tuning.population`).
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from sigflow.audit import Plan, known_codes, stop_on_errors
from sigflow.audit.plan import fitted
from sigflow.audit.sizes import large_enough
from sigflow.data.folds import Folds, make_folds
from sigflow.data.targets import rarest_words
from sigflow.errors import UserError
from sigflow.pipelines.audit import audit_and_tell, prepare_all
from sigflow.pipelines.desk import Desk
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.mesh import most_workers
from sigflow.pipelines.population import populate
from sigflow.pipelines.search import run_trials
from sigflow.pipelines.train import train
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Space, live, value_at
from sigflow.storage import Location
from sigflow.training import build
from sigflow.tuning import (
    Overrides,
    Proposer,
    Search,
    Trial,
    best_of,
    changed,
    read_trials,
    start_search,
    table,
)
from sigflow.tuning.measure import reason_of
from sigflow.tuning.page import verdict, write_page
from sigflow.tuning.population import (
    MEMBERS,
    Step,
    counted,
    found,
    refuse_unfit,
    spent_s,
)
from sigflow.tuning.propose import Method

DEFAULT_TRIALS = 20
_SEED = 0
_SEEDS = 10  # are tried, for folds that differ


def tune(
    recipes: Sequence[Recipe],
    data: Location,
    out: Location,
    *,
    spaces: Mapping[str, Space],
    folds_spec: str = "5",
    holdout: Sequence[str] = (),
    method: Method = "tpe",
    trials: int | None = None,
    concurrent: int | None = None,
    limit_min: float | None = None,
    resume: bool = False,
    force: Sequence[str] = (),
) -> dict[str, Any]:
    """Search, write everything into the folder `out`, give the figures.

    `spaces`: what may change of each recipe, by its name. `trials`: 20, or with `limit_min` as many as it allows; with
    pbt the members of its population, 8.
    `limit_min`: of all trials together, resumed ones included, and of a population, which takes half of it at the most;
    the winner is measured again afterwards.
    `force`: codes of the audit's errors that are accepted.

    Raises:
        UserError: recipes that cannot be compared, data that cannot support them, something else in `out`, or no trial
            that trained a fold.
    """
    begun = time.monotonic()
    _refuse_senseless(recipes, spaces)
    if method == "pbt":
        refuse_unfit(recipes, [spaces[recipe.name] for recipe in recipes], trials or MEMBERS)
        spaces = {name: live(space) for name, space in spaces.items()}
    prepared = prepare_all(recipes, data, folds_spec=folds_spec, holdout=holdout)
    plans = dict(zip((r.name for r in recipes), prepared, strict=True))
    for plan in plans.values():
        build(plan.recipe, len(plan.labels))  # a model that cannot be made for this data ends the job before all else
        stop_on_errors(audit_and_tell(plan), force)
    first = plans[recipes[0].name]
    search = Search(
        recipes=tuple(recipes), spaces={r.name: dict(spaces[r.name]) for r in recipes},
        data=data.uri, data_fingerprint=first.fingerprint, folds_spec=folds_spec,
        folds_fingerprint=first.folds.fingerprint, holdout=tuple(holdout), method=method,
    )  # fmt: skip
    start_search(out, search, resume=resume)
    limit_s = limit_min * 60 if limit_min else None
    steps: list[Step] | None = None
    if method == "pbt":
        steps = populate(search, first, out, members=trials or MEMBERS, concurrent=concurrent, limit_s=limit_s)
    ended = _search(
        search, plans, out, concurrent=concurrent, force=force, steps=steps, limit_s=limit_s,
        most=trials or (None if limit_min else DEFAULT_TRIALS),
    )  # fmt: skip
    best = best_of(ended, recipes[0].score)
    if best is None:
        why = next((trial.reason for trial in ended if trial.reason), "the time limit was too short")
        raise UserError(f"none of {len(ended)} trials trained a fold; the first: {why}")
    by_name = {recipe.name: recipe for recipe in recipes}
    winner = changed(by_name[best.recipe], best.overrides)
    (out / "best.json").write_text(winner.model_dump_json(indent=1))
    (out / "trials.parquet").write_parquet(table(ended))
    answer: dict[str, Any] = {
        "best": _figures(best),
        "as_it_was": next((_figures(t) for t in ended if t.scores and _is(by_name[best.recipe], t)), None),
        "remeasured": _remeasure(winner, search, plans[best.recipe], out, best, concurrent),
        "trials": len(ended),
        **{name: sum(t.state == state for t in ended) for name, state in _COUNTED.items()},
        "recipe": (out / "best.json").uri,
        "out": out.uri,
    }
    if steps is not None:
        answer["population"] = counted(steps)
    answer["report"] = write_page(out, search, ended, answer, steps or []).uri
    answer["seconds"] = round(time.monotonic() - begun, 1)
    (out / "tuning.json").write_text(json.dumps(answer, indent=1))
    for line in verdict(answer, recipes[0].score):
        print(f"tune: {line}", file=sys.stderr)
    return answer


_COUNTED = {"complete": "complete", "stopped_early": "stopped", "failed": "failed"}


def _refuse_senseless(recipes: Sequence[Recipe], spaces: Mapping[str, Space]) -> None:
    names = [recipe.name for recipe in recipes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--recipe names two recipes {twice[0]}; give one of the files another name")
    if len({(recipe.score, recipe.classes) for recipe in recipes}) > 1:
        raise UserError(
            f"{', '.join(names)} cannot be compared: they are scored differently, or learn different classes; "
            "search them one by one"
        )
    if not any(spaces[name] for name in names):
        raise UserError("there is nothing to search: --set fixes every key; train with jobs/train.py, or set fewer")


def _search(
    search: Search,
    plans: Mapping[str, Plan],
    out: Location,
    *,
    concurrent: int | None,
    most: int | None,
    limit_s: float | None,
    force: Sequence[str],
    steps: Sequence[Step] | None,
) -> list[Trial]:
    """All trials, those of an interrupted search first; nothing is begun that was not asked for.

    `steps`: of a population; what it found is tried after the recipe as it is, and nothing else.
    """
    score = search.recipes[0].score
    before = read_trials(out)
    first = [(r.name, {key: value_at(r, key) for key in search.spaces[r.name]}) for r in search.recipes]
    if steps is not None:
        name, own = first[0]
        first += [(name, settings) for settings in found(steps, score) if settings != own]
    desk = Desk(
        out,
        {recipe.name: recipe for recipe in search.recipes},
        Proposer(search.spaces, search.method, score, seed=_SEED + len(before)),
        score=score,
        folds=len(next(iter(plans.values())).folds.folds),
        first=first,
        trials=before,
        most=most if steps is None else len(first),
        limit_s=limit_s,
        spent_s=spent_s(steps or []),
        refusal=refusal_of(plans, force),
    )
    if not desk.is_over:
        connect()
        refuse_unshared(out)
        run_trials(desk, plans, out, concurrent)
        if not desk.is_over:  # Ray Tune asks no more once it was told that all are handed out; some came back then
            run_trials(desk, plans, out, concurrent)
    return sorted(desk.trials, key=lambda trial: trial.number)


def refusal_of(plans: Mapping[str, Plan], force: Sequence[str]) -> Callable[[str, Overrides], str | None]:
    """Settings that `train` would refuse for this data are not tried either."""

    def refuse(name: str, overrides: Overrides) -> str | None:
        plan = plans[name]
        try:
            there = replace(plan, recipe=fitted(changed(plan.recipe, overrides), plan.clips))
            with torch.device("meta"):  # sizes without numbers: whether they fit into memory, a worker will see
                build(there.recipe, len(there.labels))
                findings = large_enough(there)
        except Exception as error:  # whatever it is: the driver does not end for it
            return reason_of(error)
        errors = [each for each in findings if each.severity == "error" and each.code not in force]
        return f"bad configuration: {errors[0].code}: {errors[0].evidence}" if errors else None

    return refuse


def _is(recipe: Recipe, trial: Trial) -> bool:
    """Whether the trial changes nothing of this recipe."""
    return trial.recipe == recipe.name and all(value == value_at(recipe, key) for key, value in trial.overrides.items())


def _figures(trial: Trial) -> dict[str, Any]:
    return {
        "recipe": trial.recipe, "trial": trial.number, "overrides": trial.overrides, "score": trial.mean,
        "folds": len(trial.scores),
    }  # fmt: skip


def _remeasure(
    winner: Recipe,
    search: Search,
    plan: Plan,
    out: Location,
    best: Trial,
    concurrent: int | None,
) -> dict[str, Any] | None:
    """The winner's run on folds that had no say in its choice; None where they cannot be made."""
    spec = fresh(plan, search.holdout)
    what = f"fresh folds ({spec})"
    if spec is None:  # there is one way to fold like this
        spec, what = plan.folds.spec, "the same folds, the only ones of their kind, with another seed"
        winner = winner.model_copy(update={"train": winner.train.model_copy(update={"seed": winner.train.seed + 1})})
    print(f"tune: measuring trial {best.number} again, on {what}", file=sys.stderr, flush=True)
    place = out / f"remeasured_{best.number:04d}"
    try:
        # The audit has accepted the recipe and the data; what it finds in these folds is told, and no reason to stop.
        metrics = train(
            winner,
            Location(search.data),
            place,
            folds_spec=spec,
            holdout=search.holdout,
            workers=None if concurrent is None else min(concurrent, most_workers()),
            resume=True,
            force=known_codes(),
        )
    except UserError as error:
        print(f"warning: the best trial could not be measured again: {error}", file=sys.stderr)
        return None
    score = winner.score
    return {"score": metrics[f"{score}_mean"], "std": metrics[f"{score}_std"], "what": what, "run": place.uri}


def fresh(plan: Plan, holdout: Sequence[str]) -> str | None:
    """Folds of the same kind that test other clips together; None: there are no others, or they are hard to find."""
    kind, at, seed = plan.folds.spec.partition("@")
    if kind in ("subject", "split"):
        return None
    first = int(seed) + 1 if at else 1
    labels, subjects, splits = rarest_words(plan.sentences), plan.clips.column("subject"), plan.clips.column("split")
    for spec in (f"{kind}@{number}" for number in range(first, first + _SEEDS)):
        folds = make_folds(labels, subjects, splits, spec=spec, holdout=holdout)
        if _tested(folds) != _tested(plan.folds):
            return spec
    return None


def _tested(folds: Folds) -> set[tuple[int, ...]]:
    return {tuple(fold.test.tolist()) for fold in folds.folds}
