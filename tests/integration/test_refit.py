"""If this fails, members cannot be trained again on a cluster, or become other models there than elsewhere."""

from pathlib import Path

import pytest
import torch

from sigflow.data.clips import load_clips
from sigflow.ensemble import average
from sigflow.ensemble.refits import read_refit_weights
from sigflow.pipelines.material import read_material
from sigflow.pipelines.refit import refit_of
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.conftest import train_run
from tests.integration.conftest import Cluster


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_member_is_trained_by_a_worker_of_the_cluster(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    recipe = override(find_recipe("isolated_gestures"), ["train.epochs=15", "model.hidden=[16]", "model.dense=8"])
    people = {str(name) for name in load_clips(gesture_landmarks, recipe.parts).column("subject")}
    run = train_run(locate(tmp_path / "run"), gesture_landmarks, recipe, spec="2", holdout=(max(people),))
    out = tmp_path / "bundle"
    answer = cluster.job("ensemble", "--runs", run.uri, "--out", out, "--precisions", "fp32", "--refit")
    assert (answer["refit"]["folds"]["models"], answer["refit"]["refitted"]["models"]) == (2, 1)
    ensemble = average([run])
    material = read_material(ensemble)
    refit = refit_of(ensemble.members[0], material)
    weights = read_refit_weights(refit.place(locate(out)))
    here = refit.train(material.clips, None, torch.device("cpu")).weights
    assert weights.keys() == here.keys()
    assert all(torch.allclose(weight, here[name], atol=1e-4) for name, weight in weights.items())
