"""If these fail, models that were trained on all clips are served unjudged, or although they are worse."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch

from sigflow import runs
from sigflow.bundle import CARD, GRAPH, Manifest, read_bundle
from sigflow.data.clips import load_clips
from sigflow.ensemble import average, read_pool
from sigflow.ensemble.refits import read_refit_weights, refit_is_done, refit_place
from sigflow.errors import UserError
from sigflow.export import ensemble_model, export
from sigflow.pipelines.bundle import Rival, better, build_bundle, bundle_exported
from sigflow.pipelines.holdout import MARGIN
from sigflow.pipelines.material import clip_inputs, read_material
from sigflow.pipelines.refit import Refit, refit_of
from sigflow.pipelines.speed import sample_clips
from sigflow.predictor import Predictor
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.conftest import train_run

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(gesture_landmarks: Location, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """Two folds of four people; the fifth is held out."""
    recipe = override(
        find_recipe("isolated_gestures"), ["train.epochs=25", "model.hidden=[16]", "model.dense=8", "optim.lr=1e-2"]
    )
    place = locate(tmp_path_factory.mktemp("runs") / "held")
    people = {str(name) for name in load_clips(gesture_landmarks, recipe.parts).column("subject")}
    return train_run(place, gesture_landmarks, recipe, spec="2", holdout=(max(people),))


@pytest.fixture(scope="module")
def folds(run: Location) -> Rival:
    ensemble = replace(average([run]), temperature=0.5)
    return Rival(ensemble, export(ensemble))


def judged_and_bundled(folds: Rival, out: Location) -> tuple[Refit, Manifest]:
    """As the same command goes on that was killed after its last refit: what is done is not trained again."""
    material = read_material(folds.ensemble)
    refit = refit_of(folds.ensemble.members[0], material)
    refit.commit(out, refit.train(material.clips, None, CPU))
    rival, judgement = better(folds, material, sample_clips(read_pool([folds.ensemble.members[0].place])), out)
    manifest = bundle_exported(
        rival.ensemble, rival.exported, out, precisions=("fp32",), material=material, judgement=judgement
    )
    return refit, manifest


@pytest.fixture(scope="module")
def bundle(folds: Rival, tmp_path_factory: pytest.TempPathFactory) -> tuple[Location, Refit]:
    out = locate(tmp_path_factory.mktemp("bundles") / "refitted")
    return out, judged_and_bundled(folds, out)[0]


@pytest.fixture(scope="module")
def manifest(bundle: tuple[Location, Refit]) -> Manifest:
    return read_bundle(bundle[0]).manifest


def test_one_model_of_all_clips_but_the_holdouts_takes_the_place_of_the_folds(
    run: Location, bundle: tuple[Location, Refit], manifest: Manifest, gesture_landmarks: Location
) -> None:
    out, refit = bundle
    given = runs.read_run(run)
    clips = load_clips(gesture_landmarks, given.recipe.parts)
    assert {clips.column("subject")[row] for row in refit.rows} == set(clips.column("subject")) - set(given.holdout)
    assert len(refit.rows) == 48
    best = [runs.read_fold_summary(run, fold)["best_epoch"] for fold in range(2)]
    assert [course.epochs for course in refit.courses] == [round(sum(best) / 2)]
    member = replace(average([run]).members[0], refit=refit.place(out))
    alone = ensemble_model(replace(average([run]), members=(member,), temperature=manifest.temperature))
    with torch.no_grad():
        expected = alone(*clips.batch(list(range(5))).flat()).numpy()
    assert np.abs(np.stack(Predictor(read_bundle(out)).predict(clip_inputs(clips, range(5)))) - expected).max() < 1e-4
    assert (out / GRAPH).size() == manifest.metrics["refit"]["refitted"]["bytes"]


def test_manifest_and_card_say_what_it_is_and_that_it_has_no_out_of_fold_predictions(
    bundle: tuple[Location, Refit], manifest: Manifest
) -> None:
    judged, (member,) = manifest.metrics["refit"], manifest.members
    assert judged["exported"]
    assert judged["difference"] >= -MARGIN
    assert member["refit"]["key"] == bundle[1].place(bundle[0]).name
    assert member["refit"]["clips"] == 48
    assert manifest.metrics["measured_on"] == "holdout subjects"
    assert manifest.metrics["holdout"]["macro_f1"] == judged["refitted"]["macro_f1"]
    assert judged["refitted"]["bytes"] < 0.8 * judged["folds"]["bytes"]
    assert (judged["folds"]["models"], judged["refitted"]["models"]) == (2, 1)
    card = (bundle[0] / CARD).read_bytes().decode()
    assert "1 members, each one model that was trained on all 48 clips" in card
    assert "They have no out-of-fold predictions" in card


def test_what_is_done_is_not_trained_again_and_what_is_half_written_is_not_done(
    run: Location, bundle: tuple[Location, Refit], tmp_path: Path
) -> None:
    out, refit = bundle
    assert not ray.is_initialized()  # no worker was asked for
    weights = read_refit_weights(refit.place(out))
    again = refit.train(read_material(average([run])).clips, None, CPU)
    assert all(torch.equal(weight, weights[name]) for name, weight in again.weights.items())
    half = refit.place(locate(tmp_path))
    (half / "weights.safetensors").write_bytes((refit.place(out) / "weights.safetensors").read_bytes())
    assert not refit_is_done(half)
    other = refit.run.model_copy(update={"data_fingerprint": "another"})
    assert refit_place(out, other, []).name != refit_place(out, refit.run, []).name


@pytest.mark.slow
def test_a_worse_one_is_not_exported_and_the_bundle_says_why(
    run: Location, folds: Rival, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run that went on at a rate at which nothing is learnt: its folds learnt before that."""
    place, out = locate(tmp_path / "slow"), locate(tmp_path / "bundle")
    for file in run.files(recursive=True):
        locate(file.uri.replace(run.uri, place.uri)).write_bytes(file.read_bytes())
    given = runs.read_run(run)
    slow = given.model_copy(update={"recipe": override(given.recipe, ["optim.lr=1e-7"]), "continues": (given.key,)})
    (place / "run.json").write_text(slow.model_dump_json())
    members = (replace(folds.ensemble.members[0], place=place, run=slow),)
    _, manifest = judged_and_bundled(folds._replace(ensemble=replace(folds.ensemble, members=members)), out)
    judged = manifest.metrics["refit"]
    assert not judged["exported"]
    assert judged["difference"] < -MARGIN
    assert "refit" not in manifest.members[0]
    assert manifest.metrics["holdout"]["macro_f1"] == judged["folds"]["macro_f1"]
    assert (out / GRAPH).size() == judged["folds"]["bytes"]
    assert "the fold models are exported, not the refitted ones: macro_f1 -0." in capfd.readouterr().err
    assert "In this bundle are the fold models: macro" in (out / CARD).read_bytes().decode()


def test_without_a_holdout_it_is_refused_with_the_way_to_one(trained_run: Location, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no holdout; train again with jobs/train.py --holdout SUBJECT"):
        build_bundle([trained_run], locate(tmp_path / "bundle"), refit=True)
    assert not (tmp_path / "bundle").exists()


def test_weights_that_a_run_began_with_are_missed_before_anything_is_trained(run: Location, tmp_path: Path) -> None:
    place = locate(tmp_path / "tuned")
    for file in run.files(recursive=True):
        locate(file.uri.replace(run.uri, place.uri)).write_bytes(file.read_bytes())
    (place / "run.json").write_text(runs.read_run(run).model_copy(update={"init": "another"}).model_dump_json())
    with pytest.raises(UserError, match=r"began with the weights of another run \(--init\)"):
        build_bundle([place], locate(tmp_path / "bundle"), refit=True)
