"""A population, drawn; PNG bytes."""

from collections.abc import Sequence

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sigflow.report.style import BLUE, GREY, INK, ORANGE, new_figure, plain, png
from sigflow.tuning.population import Step, ends_of
from sigflow.tuning.trials import sign_of


def population_chart(steps: Sequence[Step], score: str) -> bytes:
    """A line for each member over its segments; a copy's comes from its donor, dashed. The best in the end is blue."""
    figure = new_figure(9.0, 4.2)
    axis = figure.subplots()
    at = {(step.member, step.segment): step.score for step in steps if step.score is not None}
    worst = (min if sign_of(score) > 0 else max)(at.values(), default=0.0)
    last = max(step.segment for step in steps)
    ends = {step.member: sign_of(score) * step.score for step in ends_of(steps) if step.score is not None}
    best = max(ends, key=lambda member: ends[member], default=None)
    failed = [step for step in steps if step.score is None]
    for step in sorted(steps, key=lambda step: step.member == best):
        origin = step.member if step.donor is None else step.donor
        ends_at, begins_at = at.get((step.member, step.segment)), at.get((origin, step.segment - 1))
        if ends_at is None:
            continue
        colour, width = (BLUE, 2.0) if step.member == best else (GREY, 0.9)
        axis.plot([step.segment], [ends_at], "o", color=colour, markersize=3.5)
        if begins_at is not None:
            style = "-" if step.donor is None else "--"
            axis.plot([step.segment - 1, step.segment], [begins_at, ends_at], style, color=colour, linewidth=width)
    for member in ends:
        if (height_there := at.get((member, last))) is not None:
            axis.annotate(
                str(member), (last, height_there), (5, -3), textcoords="offset points", fontsize=7, color=INK
            )  # fmt: skip
    if failed:
        axis.plot([s.segment for s in failed], [worst] * len(failed), "x", color=ORANGE, markersize=5)
    shown = [
        Line2D([], [], color=BLUE, linewidth=2.0, label="best in the end"),
        Line2D([], [], color=GREY, linewidth=0.9, label="others"),
        Line2D([], [], color=GREY, linewidth=0.9, linestyle="--", label="copied, with other settings"),
        *([Line2D([], [], color=ORANGE, marker="x", linestyle="", markersize=5, label="failed")] if failed else []),
    ]
    plain(axis, "members of the population, by their numbers", x="segment", y=f"{score} of the first fold's stop part")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(handles=shown, fontsize=8, frameon=False)
    return png(figure)
