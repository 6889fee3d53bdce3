"""If these fail, several workers on one fold train another model than one worker does, or disagree among themselves."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.training import Team, fit

# Batches of 7 do not divide by 2, and the last one of the fold is smaller still.
PLAIN = override(
    find_recipe("isolated_gestures"),
    ["train.epochs=3", "model.hidden=[8]", "model.dense=8", "model.dropout=0", "train.batch_size=7", "augmentation={}"],
)
AUGMENTED = override(PLAIN, ["augmentation.noise_sizes=0.05", "model.dropout=0.3", "model.norm=batch"])


def work(
    rank: int, size: int, folder: str, recipe: Recipe, arrays: dict[str, Any], labels: list[str], fold: Fold
) -> None:
    """One worker of a team, a process of its own."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=size)
    result = fit(recipe, Clips.from_arrays(arrays), labels, fold, team=Team(rank, size, dist.group.WORLD))
    torch.save({"weights": result.weights, "history": result.history}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(autouse=True)
def _workers_find_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


def team_of_two(recipe: Recipe, clips: Clips, fold: Fold, folder: Path) -> list[dict[str, Any]]:
    labels = sorted({str(name) for name in clips.column("label")})
    mp.spawn(work, (2, str(folder), recipe, clips.arrays(), labels, fold), nprocs=2)  # type: ignore[attr-defined,no-untyped-call]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_two_workers_train_the_model_of_one(clips: Clips, fold: Fold, tmp_path: Path) -> None:
    labels = sorted({str(name) for name in clips.column("label")})
    alone = fit(PLAIN, clips, labels, fold)
    first, second = team_of_two(PLAIN, clips, fold, tmp_path)
    for name, weight in alone.weights.items():
        assert torch.allclose(first["weights"][name], weight, atol=2e-4), name
        assert torch.equal(first["weights"][name], second["weights"][name])
    for mine, theirs in zip(first["history"], alone.history, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert mine["accuracy"] == theirs["accuracy"]


@pytest.mark.slow
def test_workers_agree_with_chance_and_batch_normalisation_in_it(clips: Clips, fold: Fold, tmp_path: Path) -> None:
    first, second = team_of_two(AUGMENTED, clips, fold, tmp_path)
    assert first["history"] == second["history"]
    assert all(torch.equal(weight, second["weights"][name]) for name, weight in first["weights"].items())
