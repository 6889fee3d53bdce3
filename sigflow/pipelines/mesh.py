"""The fold mesh: one Ray Train run over all folds.

W workers are T teams of W / T workers each; team t trains folds t, t + T, t + 2T, ... in turn. Start-up is paid once,
folds run side by side, and no team waits for another before the end. Only a team of several workers exchanges
gradients. Folds commit to the run's directory themselves, so a fold that is done is never trained again, whatever fails
later, and one that is under way goes on from its checkpoint. All workers of a node read the same clips, without a copy
(`sharing`).
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sigflow import runs
from sigflow.audit import Plan
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.pipelines.board import Board, watch
from sigflow.pipelines.fold_worker import work
from sigflow.pipelines.job import connect
from sigflow.pipelines.placement import per_worker, reach, refuse_impossible
from sigflow.pipelines.sharing import shared_clips
from sigflow.storage import Location, is_unreachable

_LOOK_EVERY_S = 0.5  # Ray Train looks every 2 s whether workers have ended
_ONE_DAY_S = 86_400  # teams end at different times, and the last barrier waits for the slowest


@dataclass(frozen=True)
class _Mesh:
    """How many workers, in how many teams, on what. `least`: workers that it may begin, or go on, with."""

    workers: int
    teams: int
    gpus: bool
    least: int


def plan_mesh(folds: int, todo: int, asked: int | None, *, cpus: int, gpus: int) -> _Mesh:
    """A worker per fold, as far as devices reach; more than one for a fold only where more are asked for.

    All teams have the same size, which only the number of all folds decides: a fold that is resumed when few are left
    goes on in a team as large as before, and with the same numbers.
    """
    devices = gpus or cpus
    wanted = min(asked or folds, devices)
    size = max(1, wanted // folds)
    teams = max(1, min(todo, wanted // size))
    return _Mesh(teams * size, teams, gpus > 0, least=teams * size)


def most_workers() -> int:
    """How many `train` could be asked for here."""
    connect()
    there = reach()
    return max(there.places(per_worker(True)) or there.places(per_worker(False)), 1)


def place(folds: int, todo: int, asked: int | None) -> _Mesh:
    """On GPUs where there are any or could be, on CPUs elsewhere.

    Raises:
        UserError: more workers are asked for than the cluster could ever run.
    """
    there = reach()
    gpus = there.places(per_worker(True))
    refuse_impossible(there, per_worker(gpus > 0), asked or 1, "training" if asked is None else f"--workers {asked}")
    mesh = plan_mesh(folds, todo, asked, cpus=there.places(per_worker(False)), gpus=gpus)
    # Teams of one go on with the nodes that are left, where nobody brings new ones; others wait for all of theirs.
    return replace(mesh, least=1) if mesh.workers == mesh.teams and not there.kinds else mesh


@contextmanager
def trained(
    run: runs.Run, plan: Plan, todo: Sequence[Fold], out: Location, workers: int | None, more: dict[str, Any]
) -> Iterator[None]:
    """The block begins when all folds are committed: Ray Train takes seconds to end after that, and does so beside."""
    mesh = place(run.num_folds, len(todo), workers)
    # Beside the driver: it is asked at the end, and other nodes may be gone by then.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = ray.remote(num_cpus=0, scheduling_strategy=here)(Board).remote()
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(_LOOK_EVERY_S))
    with shared_clips(plan.clips, plan.pretrained_on) as (clips, unlabelled), watch(board, out, run, todo) as complete:
        config = {"run": run, "clips": clips, "unlabelled": unlabelled, "todo": list(todo), "out": out, **more}
        trainer = TorchTrainer(
            work,
            train_loop_config=config | {"size": mesh.workers // mesh.teams, "board": board},
            scaling_config=ScalingConfig(
                num_workers=(mesh.least, mesh.workers) if mesh.least < mesh.workers else mesh.workers,
                elastic_resize_monitor_interval_s=_ONE_DAY_S,  # more begin only when workers begin anyway
                use_gpu=mesh.gpus,
                resources_per_worker=per_worker(mesh.gpus),
            ),
            torch_config=TorchConfig(backend="nccl" if mesh.gpus else "gloo", timeout_s=_ONE_DAY_S),
            # A name of its own: Ray would silently resume a run of the same name.
            run_config=RunConfig(
                name=f"sigflow-{uuid.uuid4().hex[:8]}",
                storage_path=(out / "ray").uri,
                failure_config=FailureConfig(max_failures=3),  # of a worker or node; folds go on where they were
            ),
        )
        fitting = _Beside(trainer.fit)
        while fitting.is_alive() and not complete.wait(_LOOK_EVERY_S):
            pass
        if not fitting.is_alive():
            _raise_cause(fitting, board)
        yield
        fitting.join()
        _raise_cause(fitting, board)


class _Beside(threading.Thread):
    """A call in a thread that does not keep the process alive, and how it failed."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self.error = error


def _raise_cause(fitting: _Beside, board: Any) -> None:
    """What ended the mesh, as its user needs to see it; nothing if all went well."""
    if isinstance(fitting.error, ray.train.TrainingFailedError):
        for cause in getattr(fitting.error, "worker_failures", {}).values():
            if isinstance(cause, UserError) or is_unreachable(cause):
                raise cause from fitting.error
    if fitting.error:
        raise fitting.error
    if failures := ray.get(board.failures.remote()):
        raise UserError(f"{'; '.join(failures.values())}; then go on with --resume, folds that are done stay")
