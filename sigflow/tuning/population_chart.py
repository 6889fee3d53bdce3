"""A population, drawn; PNG bytes."""

from collections.abc import Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sigflow.report.style import BLUE, GREY, ORANGE, new_figure, plain, png
from sigflow.tuning.population import Step, ends_of
from sigflow.tuning.trials import sign_of


def population_chart(steps: Sequence[Step], score: str) -> bytes:
    """A line for each member over its segments; a copy's comes from its donor, dashed. Blue: where the best comes from.

    That is the way of its weights, also while other members had them.
    """
    figure = new_figure(9.0, 4.2)
    axis = figure.subplots()
    at = {(step.member, step.segment): step.score for step in steps if step.score is not None}
    ways = _way_of_best(steps, score)
    for step in sorted(steps, key=lambda step: (step.member, step.segment) in ways):
        here, before = (step.member, step.segment), _before(step)
        if here not in at:
            continue
        colour, width = (BLUE, 2.0) if here in ways else (GREY, 0.9)
        axis.plot([step.segment], [at[here]], "o", color=colour, markersize=3.5)
        if before in at:
            style = "-" if step.donor is None else "--"
            axis.plot([step.segment - 1, step.segment], [at[before], at[here]], style, color=colour, linewidth=width)
    shown = [
        Line2D([], [], color=BLUE, linewidth=2.0, label="the best in the end, and where it comes from"),
        Line2D([], [], color=GREY, linewidth=0.9, label="others"),
        Line2D([], [], color=GREY, linewidth=0.9, linestyle="--", label="copied, with other settings"),
    ]
    if failed := [step.segment for step in steps if step.score is None]:
        worst = (min if sign_of(score) > 0 else max)(at.values(), default=0.0)
        shown += axis.plot(failed, [worst] * len(failed), "x", color=ORANGE, markersize=5, label="failed")
    plain(axis, "members of the population", x="segment", y=f"{score} of the first fold's stop part")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(handles=shown, fontsize=8, frameon=False)
    return png(figure)


def _way_of_best(steps: Sequence[Step], score: str) -> set[tuple[int, int]]:
    """Members and segments."""
    alive = [step for step in ends_of(steps) if step.score is not None]
    best = max(alive, key=lambda step: sign_of(score) * (step.score or 0.0), default=None)
    by_place = {(step.member, step.segment): step for step in steps}
    way = set()
    while best is not None:
        way.add((best.member, best.segment))
        best = by_place.get(_before(best))
    return way


def _before(step: Step) -> tuple[int, int]:
    """Whose weights it began with: member and segment."""
    return (step.member if step.donor is None else step.donor, step.segment - 1)
