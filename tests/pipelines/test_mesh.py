"""If these fail, devices stand idle, teams wait for workers that are not there, or nobody sees how far training is."""

import time

import pytest

from sigflow.pipelines.board import progress
from sigflow.pipelines.mesh import plan_mesh
from sigflow.recipes.ways import TrainConfig


@pytest.mark.parametrize(
    ("folds", "todo", "asked", "cpus", "gpus", "workers", "teams"),
    [
        (5, 5, None, 2, 0, 2, 2),
        (5, 5, None, 64, 0, 5, 5),  # more than one worker for a fold only when asked for
        (5, 5, 1, 64, 0, 1, 1),
        (2, 2, 8, 64, 0, 8, 2),
        (3, 3, 8, 64, 0, 6, 3),  # all teams alike
        (5, 5, 8, 4, 0, 4, 4),  # never more than there are
        (5, 5, None, 64, 2, 2, 2),  # GPUs, where there are some
        (1, 1, 4, 2, 4, 4, 1),
        (5, 1, 5, 8, 0, 1, 1),  # the last fold of a resumed run: no larger team than before
        (2, 1, 8, 64, 0, 4, 1),
    ],
)
def test_workers_and_teams(
    folds: int, todo: int, asked: int | None, cpus: int, gpus: int, workers: int, teams: int
) -> None:
    mesh = plan_mesh(folds, todo, asked, cpus=cpus, gpus=gpus)
    assert (mesh.workers, mesh.teams, mesh.gpus) == (workers, teams, gpus > 0)


def test_the_line_says_how_far_each_fold_is() -> None:
    epochs = {1: {"epoch": 3, "loss": 0.5, "stop_loss": 0.75}, 0: {"epoch": 7, "loss": 0.25, "stop_loss": 0.5}}
    line = progress(epochs, TrainConfig(epochs=40), {0, 1, 2}, time.monotonic())
    assert "3 folds to go" in line
    assert "fold 1 epoch 7/40 loss 0.250 stop 0.500 | fold 2 epoch 3/40 loss 0.500 stop 0.750" in line
