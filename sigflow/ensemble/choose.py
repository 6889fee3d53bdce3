"""The decision: which runs vote, with what shares, how sure they may be; and what that is worth."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sigflow import runs
from sigflow.ensemble.budget import Budget
from sigflow.ensemble.members import Ensemble, Member
from sigflow.ensemble.methods import Method
from sigflow.ensemble.nested import Nest
from sigflow.ensemble.pool import Pool
from sigflow.ensemble.temperature import fit_temperature
from sigflow.ensemble.votes import Mix, Votes, mixed
from sigflow.errors import UserError
from sigflow.metrics import classification

EXPORTED: tuple[Method, ...] = ("average", "weighted", "greedy")  # a gated vote is judged, but graphs have none


@dataclass(frozen=True)
class _Judged:
    """Nested figures of the methods `by_block`; `warm`: a temperature makes the right classes likelier."""

    by_block: Mapping[int, Method]
    figures: dict[str, Any]
    warm: bool


def choose(pool: Pool, budget: Budget | None = None) -> Ensemble:
    """The method that does best on clips which had no say in it; the best run alone where no ensemble does better.

    `Ensemble.oof` and `metrics` are of the nested predictions, not of those that the choice was made on; `choice` has
    the figures of every method. Warnings are told on stderr too.

    Raises:
        UserError: no run is within the budget.
    """
    budget = budget or Budget()
    if not any(budget.allows([run]) for run in range(len(pool))):
        fastest = min(range(len(pool)), key=lambda run: budget.ms[run])
        raise UserError(
            f"even {pool.places[fastest]} alone takes {budget.ms[fastest]:.3g} ms a clip, and --max-ms is "
            f"{budget.max_ms:g}; raise it, or train a smaller recipe"
        )
    nest = Nest(Votes(pool), budget)
    candidates = [method for method in EXPORTED if method != "weighted" or not pool.sentences]
    alone: Mapping[int, Method] = dict.fromkeys(nest.blocks, "single")
    together = {block: nest.best_method(candidates, frozenset({block})) for block in sorted(nest.blocks)}
    single, ensemble = _judged(nest, alone), _judged(nest, together)
    better = len(pool) > 1 and nest.score(together) >= nest.score(alone)
    judged, method = (ensemble, nest.best_method(candidates)) if better else (single, "single")
    chosen, score = nest.mix(method), pool.runs[0].recipe.score
    temperature = fit_temperature(mixed(pool, chosen), pool.classes) if judged.warm else 1.0
    told = _runs(nest, chosen, score)
    warnings = _warnings(pool, (ensemble.figures[score], single.figures[score], told["best_run"]), better=better)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    methods = {name: _judged(nest, dict.fromkeys(nest.blocks, name)).figures for name in (*candidates, "gated")}
    choice = {
        "method": method,
        "score": score,
        "nested": {
            "blocks": len(nest.blocks), "blocked_by": pool.blocked_by,
            "exported": judged.figures, "ensemble": ensemble.figures, "single": single.figures, "methods": methods,
        },
        "gated": {"threshold": nest.mix("gated").gate, "exported": False},
        "on_the_choosing_clips": _on_all(nest, chosen),
        "budget": {"max_members": budget.max_members, "max_ms": budget.max_ms},
        "temperature": temperature,
        "warnings": warnings,
    } | told  # fmt: skip
    oof = pool.table((nest.calibrated if judged.warm else nest.probs)(judged.by_block))
    members = tuple(
        Member(place, run, weight)
        for place, run, weight in zip(pool.places, pool.runs, chosen.weights, strict=True)
        if weight
    )
    return Ensemble(members, oof, runs.oof_metrics(oof, pool.runs[0]), single.figures[score], temperature, choice)


def _runs(nest: Nest, chosen: Mix, score: str) -> dict[str, Any]:
    """Of each run: its own score, its weight, its time where that is known; and the mean and the best score."""
    count, ms = len(nest.votes.pool), nest.budget.ms
    each = [_on_all(nest, Mix(tuple(float(other == run) for other in range(count)))) for run in range(count)]
    told: list[dict[str, Any]] = [
        {"run": place.name, score: value, "weight": weight}
        for place, value, weight in zip(nest.votes.pool.places, each, chosen.weights, strict=True)
    ]
    for run, taken in zip(told, ms, strict=False):  # without a limit no run is timed
        run["ms_alone"] = taken
    best = min(each) if nest.votes.pool.sentences else max(each)
    return {"runs": told, "mean_single": float(np.mean(each)), "best_run": best}


def _on_all(nest: Nest, mix: Mix) -> float:
    """Macro-F1 or WER over all clips."""
    return abs(nest.votes.score(mix, np.ones(len(nest.votes.pool.clips), bool)).figure)


def _judged(nest: Nest, by_block: Mapping[int, Method]) -> _Judged:
    pool = nest.votes.pool
    if pool.sentences:
        wrong = {"wer": -nest.score(by_block).figure, "accuracy": float((nest.answers(by_block).given_N == 0).mean())}
        return _Judged(by_block, wrong, warm=False)
    subjects = pool.clips["subject"].to_pylist()
    before, after = (
        classification(probs_NK, pool.classes, pool.labels, subjects)
        for probs_NK in (nest.probs(by_block), nest.calibrated(by_block))
    )
    warm = after["log_loss"] < before["log_loss"]
    figures = {name: (after if warm else before)[name] for name in ("macro_f1", "accuracy", "log_loss", "ece")}
    figures["before_temperature"] = {name: before[name] for name in ("log_loss", "ece")}
    return _Judged(by_block, figures, warm)


def _warnings(pool: Pool, scores: tuple[float, float, float], *, better: bool) -> list[str]:
    """`scores`: nested ones of the ensemble and of the best run, and the own one of the run that is best after all."""
    found, name = [], pool.runs[0].recipe.score
    ensemble, single, best_run = scores
    if len(pool) > 1 and not better:
        found.append(
            f"voting does no better than the best run alone, on clips that had no say in the choice "
            f"({name} {ensemble:.4f} against {single:.4f}); that run is exported alone"
        )
    elif len(pool) > 1 and (ensemble > best_run if pool.sentences else ensemble < best_run):
        found.append(
            f"voting does better than a best run chosen on other clips ({name} {ensemble:.4f} against {single:.4f}), "
            f"but not than the one that is best with hindsight ({best_run:.4f})"
        )
    if pool.blocked_by == "clip":
        found.append(
            "there is one fold, and of one subject: the choice is judged on clips of the people whom it was made on"
        )
    return found
