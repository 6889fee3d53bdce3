"""When each fold began and ended in its worker: Ray calls `install` in each worker process."""

import json
import sys
import time
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

FILE = "span.json"
WORKER = "sigflow.pipelines.fold_worker"


class Span(NamedTuple):
    """In seconds since 1970; `cpu_s` is what the worker's process had of a core meanwhile."""

    begin_s: float
    end_s: float
    cpu_s: float


def install() -> None:
    """Time folds in whichever process imports them."""
    when_imported(time_folds)


def when_imported(act: Callable[[Any], None]) -> None:
    """Give `act` the module `fold_worker` as soon as there is one. Ray's own actors must not wait for torch here."""
    sys.meta_path.insert(0, _Watch(act))


class _Watch(MetaPathFinder):
    def __init__(self, act: Callable[[Any], None]) -> None:
        self._act = act

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != WORKER:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        spec.loader = _Told(spec.loader, self._act)
        return spec


class _Told(Loader):
    def __init__(self, loader: Loader, act: Callable[[Any], None]) -> None:
        self._loader, self._act = loader, act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._act(module)


def time_folds(worker: Any) -> None:
    """From now on each fold that the module `fold_worker` trains leaves its span beside its files."""
    real = worker.train_fold

    def timed(run: Any, clips: Any, fold: Any, out: Any, **more: Any) -> None:
        begin_s, cpu_s = time.time(), time.process_time()
        real(run, clips, fold, out, **more)
        span = Span(begin_s, time.time(), time.process_time() - cpu_s)
        (out / f"fold_{fold.number}" / FILE).write_text(json.dumps(span))

    worker.train_fold = timed


def read_spans(run: Path) -> list[Span]:
    """Of all folds."""
    return [Span(*json.loads(file.read_text())) for file in sorted(run.glob(f"fold_*/{FILE}"))]
