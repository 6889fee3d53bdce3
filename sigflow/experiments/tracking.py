"""MLflow, where the environment says `MLFLOW_TRACKING_URI`: one MLflow run for each finished run.

A run is told from its files when it has ended: no training waits for a server, or ends because of one. The experiment
is `MLFLOW_EXPERIMENT_NAME`, or sigflow.
"""

import hashlib
import math
import os
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from sigflow import runs
from sigflow.errors import UserError
from sigflow.recipes.settings import leaves
from sigflow.runs import Run
from sigflow.storage import Location

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ADDRESS = "MLFLOW_TRACKING_URI"
_ID = "sigflow.id"
_ARTEFACTS = ("report/index.html", "report/model_card.md", "metrics.json", "recipe.json")
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # of one request, by MLflow's REST API
# Set unless the user has: a server that is down should hold a finished run up for seconds, not for four minutes; what
# is used is nobody's business; and the last line on stdout is the job's.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def check_tracking() -> None:
    """Call before training.

    Raises:
        UserError: MLflow is asked for and not installed.
    """
    if os.environ.get(_ADDRESS) and find_spec("mlflow") is None:
        raise UserError(f"{_ADDRESS} is set, but MLflow is not installed; pip install 'sigflow[mlflow]', or unset it")


def track(place: Location, run: Run, row: dict[str, Any]) -> list[str]:
    """Tell MLflow of the finished run, if it is asked for; `row`: of the log.

    Returns: a line if MLflow did not take it.
    """
    address = os.environ.get(_ADDRESS)
    if not address:
        return []
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of MLflow's own libraries
            from mlflow import MlflowClient

            _tell(MlflowClient(address), place, run, row)
    except Exception as error:  # a tracker's failure, whatever it is, must not lose a finished run
        # Not its words: they may repeat the address with its password.
        return [f"MLflow did not take the run ({type(error).__name__}): see {_ADDRESS}; the run itself is complete"]
    return []


def _tell(client: "MlflowClient", place: Location, run: Run, row: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    experiment = _experiment(client, os.environ.get("MLFLOW_EXPERIMENT_NAME") or "sigflow")
    own = hashlib.sha256(f"{row['uri']}/{run.key}".encode()).hexdigest()[:16]
    before = client.search_runs([experiment], f"tags.`{_ID}` = '{own}'")
    started, ended = (int(row[name].timestamp() * 1000) for name in ("started", "finished"))
    told = client.create_run(experiment, start_time=started, tags=_tags(run, row) | {_ID: own}, run_name=row["run"])
    tracked = told.info.run_id
    params = [Param(name, str(value)) for name, value in leaves(run.recipe.model_dump(mode="json")).items()]
    for some in _batches(params, _MOST_PARAMS):
        client.log_batch(tracked, params=some)
    metrics = [Metric(name, float(value), ended, 0) for name, value in row.items() if _is_number(value)]
    for fold in range(run.num_folds):
        for epoch in runs.read_fold_summary(place, fold)["history"]:
            prefix = f"fold{fold}/" + (f"member{epoch['member']}/" if "member" in epoch else "")
            metrics += [
                Metric(f"{prefix}{name}", float(value), ended, int(epoch["epoch"]))
                for name, value in epoch.items()
                if name not in ("epoch", "member") and _is_number(value)
            ]
    for some in _batches(metrics, _MOST_METRICS):
        client.log_batch(tracked, metrics=some)
    client.set_terminated(tracked, end_time=ended)
    for older in before:  # of the same directory: this one stands for it now
        client.delete_run(older.info.run_id)
    for name in _ARTEFACTS:  # last: a server's artefacts may lie where this machine may not write
        if (place / name).exists():
            client.log_text(tracked, (place / name).read_bytes().decode(), name)


def _experiment(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another run was first
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return str(found.experiment_id)


def _tags(run: Run, row: dict[str, Any]) -> dict[str, str]:
    """No paths: they may name people or accounts."""
    names = ("recipe", "key", "data_fingerprint", "folds", "folds_fingerprint", "score_name", "sigflow", "commit")
    tags = {f"sigflow.{name}": str(row[name]) for name in names if row[name] is not None}
    return tags | {"sigflow.subject_independent": str(run.subject_independent).lower()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _batches(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
