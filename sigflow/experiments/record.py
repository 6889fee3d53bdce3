"""Recording a finished run wherever experiments are kept."""

from collections.abc import Mapping
from typing import Any

from sigflow.errors import UserError
from sigflow.experiments.index import add_row
from sigflow.experiments.row import row_of
from sigflow.experiments.tracking import track
from sigflow.runs import Run
from sigflow.storage import Location


def record(place: Location, run: Run, metrics: Mapping[str, Any], seconds: float) -> list[str]:
    """Add the finished run `place` to the log beside it, and to MLflow where `MLFLOW_TRACKING_URI` is set.

    `metrics`: as `runs.finish_run` gives them, with the run's `warnings` where it had some. `seconds`: what the job
    took. A run that is recorded again replaces what was recorded of it.

    Returns: a line for each log that did not take the run. Nothing is raised for that: the run itself is complete.
    """
    row = row_of(place, run, metrics, seconds)
    missed = []
    above, _, name = place.uri.rstrip("/").rpartition("/")
    try:
        if not name or above.endswith(":/"):
            raise UserError(f"{place} has no folder above it")
        add_row(Location(above or "/"), row)
    except (UserError, OSError, ValueError) as error:
        missed.append(f"the run is not in the log of experiments: {error}")
    return missed + track(place, run, row)
