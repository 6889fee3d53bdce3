"""A search, drawn; PNG bytes."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from sigflow.recipes.space import Axis, Choice, LogUniform, Space, height
from sigflow.report.style import BLUE, GREY, INK, ORANGE, new_figure, plain, png, shortened
from sigflow.tuning.trials import Trial, sign_of

_STATES = {"complete": (BLUE, "o", "all folds"), "stopped": (GREY, "o", "stopped"), "failed": (ORANGE, "x", "failed")}


def trials_chart(trials: Sequence[Trial], score: str) -> bytes:
    """Each trial's score (the mean over the folds that it trained) when it ended, and the best so far of all folds."""
    figure = new_figure(9.0, 4.2)
    axis = figure.subplots()
    scores = [trial.mean for trial in trials if trial.mean is not None]
    floor = (min if sign_of(score) > 0 else max)(scores, default=0.0)
    for state, (colour, marker, words) in _STATES.items():
        shown = [trial for trial in trials if trial.state == state]
        if shown:
            heights = [floor if trial.mean is None else trial.mean for trial in shown]
            axis.plot([trial.ended_s / 60 for trial in shown], heights, marker, color=colour, markersize=5, label=words)
            for trial, height in zip(shown, heights, strict=True):
                axis.annotate(
                    str(trial.number), (trial.ended_s / 60, height), (4, 3), textcoords="offset points", fontsize=7,
                    color=INK,
                )  # fmt: skip
    complete = sorted((t for t in trials if t.state == "complete"), key=lambda trial: trial.ended_s)
    if complete:
        keep = np.maximum if sign_of(score) > 0 else np.minimum
        best = keep.accumulate(np.array([trial.mean for trial in complete], float))
        end = max(trial.ended_s for trial in trials) / 60
        axis.step(
            [*(trial.ended_s / 60 for trial in complete), end], [*best, best[-1]], where="post", color=BLUE, linewidth=1
        )
    plain(axis, "trials, by their numbers", x="minutes of search", y=f"{score}, mean of the folds trained")
    axis.legend(fontsize=8, frameon=False)
    return png(figure)


def parallel_chart(trials: Sequence[Trial], space: Space, score: str) -> bytes:
    """A line for each trial across an axis for each setting; the better its first fold, the darker."""
    keys = list(space)
    figure = new_figure(max(7.0, 1.15 * len(keys) + 1.5), 4.6)
    axis = figure.subplots()
    sign = sign_of(score)
    order = sorted(trials, key=lambda trial: sign * trial.scores[0])  # the best on top
    firsts = [sign * trial.scores[0] for trial in order]
    # Of the worst, which may be far below, everything under the lower quarter looks alike.
    low, high = float(np.quantile(firsts, 0.25)), max(firsts)
    paler = 0.3 * (high - low) + 1e-9  # than any line: what is nearly white is not seen
    colour = ScalarMappable(Normalize(low - paler, high), colormaps["Blues"])
    shade: Callable[[Any], Any] = colour.to_rgba
    for trial, first in zip(order, firsts, strict=True):
        heights = [_height(space[key], trial.overrides[key]) for key in keys]
        width = 0.8 if first < high else 2.2
        axis.plot(range(len(keys)), heights, color=shade(max(first, low)), linewidth=width, alpha=0.9)
    for place, key in enumerate(keys):
        axis.axvline(place, color=GREY, linewidth=0.8)
        for up, text in _ticks(space[key]):
            axis.annotate(
                shortened(text, 14), (place, up), (3, 0), textcoords="offset points", fontsize=7, va="center",
                color=INK, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
            )  # fmt: skip
    plain(axis)
    axis.grid(visible=False)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.set_yticks([])
    axis.set_xticks(range(len(keys)), [_two_lines(key) for key in keys], fontsize=7)
    axis.set(xlim=(-0.2, len(keys) - 0.4), ylim=(-0.06, 1.06))
    bar = figure.colorbar(colour, ax=axis, pad=0.01, shrink=0.8)
    ticks = np.linspace(low, high, 4).tolist()
    bar.set_ticks(ticks, labels=[f"{sign * tick:.3f}" for tick in ticks])
    bar.ax.tick_params(labelsize=7)
    bar.set_label(f"{score} of the first fold", fontsize=8)
    return png(figure)


def importance_chart(shares: Mapping[str, float]) -> bytes:
    """A bar for each setting, the one that mattered most on top."""
    figure = new_figure(7.0, 0.8 + 0.26 * len(shares))
    axis = figure.subplots()
    axis.barh(range(len(shares)), list(shares.values()), color=BLUE, height=0.7)
    plain(axis, x="share of the first fold's variance that it explains")
    axis.grid(visible=False, axis="y")
    axis.set_yticks(range(len(shares)), [shortened(key, 40) for key in shares])
    axis.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6))
    return png(figure)


def _height(axis: Axis, value: Any) -> float:
    """From 0 to 1 on the axis."""
    match axis:
        case Choice():
            return axis.texts.index(json.dumps(value)) / (len(axis.values) - 1)
        case number:
            return height(number, float(value))


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    match axis:
        case Choice():
            return [(_height(axis, value), text) for value, text in zip(axis.values, axis.texts, strict=True)]
        case LogUniform():
            values = np.geomspace(axis.low, axis.high, 4).tolist()
        case number:
            values = np.linspace(number.low, number.high, 4).tolist()
    return [(place / 3, f"{value:.2g}") for place, value in enumerate(values)]


def _two_lines(key: str) -> str:
    above, _, last = key.rpartition(".")
    return f"{above}\n{last}"
