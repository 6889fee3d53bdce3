"""When each fold began and ended in its worker: Ray calls `install` in each worker process."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from sigflow.pipelines import fold_worker

FILE = "span.json"


class Span(NamedTuple):
    """In seconds since 1970; `cpu_s` is what the worker's process had of a core meanwhile."""

    begin_s: float
    end_s: float
    cpu_s: float


def install() -> None:
    real = fold_worker.train_fold

    def timed(run: Any, clips: Any, fold: Any, out: Any, **more: Any) -> None:
        begin_s, cpu_s = time.time(), time.process_time()
        real(run, clips, fold, out, **more)
        span = Span(begin_s, time.time(), time.process_time() - cpu_s)
        (out / f"fold_{fold.number}" / FILE).write_text(json.dumps(span))

    fold_worker.train_fold = timed


def read_spans(run: Path) -> list[Span]:
    """Of all folds."""
    return [Span(*json.loads(file.read_text())) for file in sorted(run.glob(f"fold_*/{FILE}"))]
