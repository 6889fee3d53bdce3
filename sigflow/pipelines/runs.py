"""The log of experiments, shown: listed, compared, drawn."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sigflow.errors import UserError
from sigflow.experiments.charts import runs_chart
from sigflow.experiments.compare import compare
from sigflow.experiments.index import INDEX, find_run, read_index
from sigflow.storage import Location

# How --sort orders: the best first where a figure has a better end.
_RISING = ("finished", "started", "gap", "seconds", "parameters", "best_epoch", "stop_loss", "run", "recipe")
_FALLING = ("accuracy", "worst_subject_accuracy")
SORTS = ("score", *_RISING, *_FALLING)
_LONGEST = 60  # of what a column may say


def show_runs(
    folder: Location,
    *,
    sort: str = "finished",
    recipe: str | None = None,
    compared: Sequence[str] = (),
    plot: Location | None = None,
) -> dict[str, Any]:
    """Print the log of the runs below `folder` as a table on stderr; give it as plain JSON.

    `sort`: one of SORTS. `recipe`: only runs of it. `compared`: names of runs, set side by side instead. `plot`: where
    a PNG of the listed runs is written.

    Raises:
        UserError: no log, no such run, or nothing to show.
    """
    rows = [row for row in read_index(folder) if recipe in (None, row["recipe"])]
    if not rows:
        raise UserError(f"{folder / INDEX} has no run of recipe '{recipe}'")
    if len(compared) == 1:
        raise UserError("--compare needs two runs or more")
    if plot is not None and not plot.uri.endswith(".png"):
        raise UserError(f"--plot {plot} must end in .png")
    rows = [find_run(rows, name) for name in compared] if compared else _sorted(rows, sort)
    answer: dict[str, Any] = {"index": (folder / INDEX).uri}
    if compared:
        answer |= compare(folder, rows)
        _print_comparison(answer)
    else:
        answer["runs"] = [_json(row) for row in rows]
        _print_table(_HEADER, [_cells(row) for row in rows])
    if plot is not None:
        plot.write_bytes(runs_chart(rows))
        answer["plot"] = plot.uri
    return answer


def _sorted(rows: list[dict[str, Any]], sort: str) -> list[dict[str, Any]]:
    """Runs that lack the figure come last; of scores, macro-F1 before WER, as one says nothing of the other."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        if sort == "score":
            return row["score_name"], row["score"] * (1 if row["score_name"] == "wer" else -1)
        value = row[sort]
        return (value is None, 0) if value is None else (False, -value if sort in _FALLING else value)

    return sorted(rows, key=key)


_HEADER = ("run", "recipe", "score", "95 % interval", "worst", "gap", "epoch", "s", "gates", "finished", "changed")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["run"], row["recipe"], f"{row['score_name']} {row['score_mean']:.3f} (sd {row['score_sd']:.3f})",
        f"{row['score_low']:.3f} to {row['score_high']:.3f}",
        f"{row['worst_subject']} {row['worst_subject_accuracy']:.3f}",
        _number(row["gap"]), _number(row["best_epoch"], 1), _number(row["seconds"], 0),
        f"{row['gates_passed']}/{row['gates']}", f"{row['finished']:%Y-%m-%d %H:%M}",
        "own recipe" if row["overrides"] is None else " ".join(row["overrides"]),
    )  # fmt: skip


def _print_comparison(answer: dict[str, Any]) -> None:
    for part in ("settings", "figures"):
        lines = [(name, *(_text(value) for value in values)) for name, values in answer[part].items()]
        _print_table((part, *answer["runs"]), lines)
    for test in answer["tests"]:
        if "untested" in test:
            said = f"not tested: {test['untested']}"
        else:
            low, high = test["interval"]
            sure = f"p = {test['p_value']:.4f}, " if "p_value" in test else ""
            said = (
                f"{test['figure']} {test['difference']:+.3f} (95 % interval {low:+.3f} to {high:+.3f}), {sure}"
                f"{'a difference' if test['significant'] else 'could be chance'} by {test['method']}"
            )
        print(f"{test['run']} against {test['against']}: {said}", file=sys.stderr)


def _print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    shown = [[_cut(cell) for cell in line] for line in (header, *lines)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for line in shown:
        row = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(row.rstrip(), file=sys.stderr)


def _cut(cell: str) -> str:
    """One line, and not longer than there is room."""
    line = " ".join(cell.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "–" if value is None else str(value)


def _json(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if name != "recipe_json"
    }
