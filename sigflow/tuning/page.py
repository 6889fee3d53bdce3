"""What came of a search, as one page."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sigflow.recipes.recipe import Recipe
from sigflow.report.html import document, image, table
from sigflow.report.tables import Table
from sigflow.storage import Location
from sigflow.tuning.charts import importance_chart, parallel_chart, trials_chart
from sigflow.tuning.importance import LEAST, importances, usable
from sigflow.tuning.population import Step, counted
from sigflow.tuning.population_chart import population_chart
from sigflow.tuning.search import Search
from sigflow.tuning.trials import Trial, best_of, short, sign_of


def write_page(
    place: Location, search: Search, trials: Sequence[Trial], answer: Mapping[str, Any], steps: Sequence[Step] = ()
) -> Location:
    """Write `place`/report/index.html and its pictures as PNG files; give the page's place.

    `answer`: what the job prints; at least one trial has a fold. `steps`: of a population.
    """
    score = search.recipes[0].score
    best = best_of(trials, score)
    assert best is not None
    recipes = {recipe.name: recipe for recipe in search.recipes}
    space = search.spaces[best.recipe]
    pictures = {"trials": ("Scores of the trials over time", trials_chart(trials, score))}
    if steps:
        pictures["population"] = ("Scores of the population over its segments", population_chart(steps, score))
    fit = usable(trials, best.recipe, space)
    if space and len(fit) > 1:
        pictures["parallel"] = ("Settings of each trial", parallel_chart(fit, space, score))
    shares = importances(trials, best.recipe, space)
    if shares is not None:
        pictures["importance"] = ("What each setting explains", importance_chart(shares))
    for name, (_, picture) in pictures.items():
        (place / "report" / f"{name}.png").write_bytes(picture)
    weighed = (
        f"Of {len(fit)} trials of {best.recipe}, by their first fold, which all of them were tested on."
        if shares is not None
        else f"What mattered is not worked out: it takes {LEAST} trials of {best.recipe} with different scores of the "
        f"first fold, and there are {len(fit)}."
    )
    held = f", held out: {', '.join(search.holdout)}" if search.holdout else ""
    parts = [
        f"<h1>Search: {escape(', '.join(recipes))}</h1>",
        f'<p class="faint">{search.method} on data {search.data_fingerprint[:16]}, folds '
        f"{escape(search.folds_spec + held)}</p>",
        _verdict(answer, score),
        _population(pictures["population"], steps) if steps else "",
        "<h2>Trials over time</h2>" + image(*pictures["trials"]),
        "<h2>What mattered</h2>",
        f'<p class="faint">{escape(weighed)}</p>',
        image(*pictures["importance"]) if "importance" in pictures else "",
        "<h2>Settings</h2>" + image(*pictures["parallel"]) if "parallel" in pictures else "",
        "<h2>Trials</h2>" + table(_rows(trials, recipes, score), names=True),
        f"<h2>Best recipe</h2><pre>{escape(json.dumps(answer['best'], indent=1))}</pre>",
    ]
    page = document(f"Search: {', '.join(recipes)}", "\n".join(part for part in parts if part))
    (place / "report" / "index.html").write_text(page)
    return place / "report" / "index.html"


def _population(picture: tuple[str, bytes], steps: Sequence[Step]) -> str:
    told = counted(steps)
    words = (
        f"{told['members']} members trained on the first fold in {told['segments']} segments; {told['copied']} times "
        "one that was behind took over the weights of a good one, with its settings a little changed. The settings "
        "with which members ended are the trials below, which began anew; weights and courses of settings are not kept."
    )
    return f'<h2>Population</h2><p class="faint">{escape(words)}</p>{image(*picture)}'


def _verdict(answer: Mapping[str, Any], score: str) -> str:
    return '<div class="verdict">' + "".join(f"<p>{escape(line)}</p>" for line in verdict(answer, score)) + "</div>"


def verdict(answer: Mapping[str, Any], score: str) -> list[str]:
    """Both figures, and what to make of them."""
    best, again, before = answer["best"], answer["remeasured"], answer["as_it_was"]
    lines = [f"Best of {answer['trials']} trials: {score} {best['score']:.4f} over {best['folds']} folds."]
    if before is not None:
        lines[0] += f" The recipe as it was: {before['score']:.4f} over {before['folds']} folds."
    if again is None:
        return [*lines, "It was not measured again: its score is that of the winner among many, which flatters."]
    return [
        *lines,
        f"On {again['what']}: {again['score']:.4f}. Believe this one: the other was chosen for being the best, "
        "luck included.",
    ]


def _rows(trials: Sequence[Trial], recipes: Mapping[str, Recipe], score: str) -> Table:
    header = ("trial", "changes", "state", "folds", score, "seconds", "why")
    worst = float("-inf")
    order = sorted(
        trials, key=lambda t: (-len(t.scores), -(worst if t.mean is None else sign_of(score) * t.mean), t.number)
    )
    return header, [
        (
            str(trial.number), short(recipes, trial), trial.state, str(len(trial.scores)),
            "–" if trial.mean is None else f"{trial.mean:.4f}", f"{trial.seconds:.0f}",
            "; ".join([trial.reason or "", *trial.alarms]).strip("; ")[:120],
        )
        for trial in order
    ]  # fmt: skip
