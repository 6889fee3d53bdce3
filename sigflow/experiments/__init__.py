"""A log of all experiments: a row for each run in `runs/index.parquet`, files for TensorBoard, MLflow if asked for.

A finished run is recorded from its directory and its metrics alone; nothing here takes part in training.
`compare` and `charts` are not named here: only who looks at the log needs them.
"""

from sigflow.experiments.events import write_events
from sigflow.experiments.record import record
from sigflow.experiments.tracking import check_tracking

__all__ = ["check_tracking", "record", "write_events"]
