"""If these fail, fine-tuning begins from nothing, mixes up labels, or tests on clips that its beginning has seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sigflow import runs
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold, Folds, make_folds
from sigflow.errors import UserError
from sigflow.pipelines.finetune import start_of, starts
from sigflow.pipelines.fold_worker import train_fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import locate
from sigflow.training import Start, build, fit
from sigflow.training.start import begin_with

RECIPE = override(
    find_recipe("isolated_gestures"),
    ["train.epochs=12", "model.hidden=[16]", "model.dense=8", "optim.lr=1e-2", "augmentation={}"],
)


@pytest.fixture(scope="module")
def folds(clips: Clips) -> Folds:
    names = [str(name) for name in clips.column("label")]
    return make_folds(names, clips.column("subject"), clips.column("split"), spec="3")


def test_a_training_that_begins_with_a_trained_model_begins_where_that_ended(
    clips: Clips, labels: list[str], folds: Folds
) -> None:
    fold = folds.folds[0]
    before = fit(RECIPE, clips, labels, fold)
    short = override(RECIPE, ["train.epochs=2", "optim.lr=1e-4"])
    after = fit(short, clips, labels, fold, start=Start(before.weights, labels, RECIPE))
    anew = fit(short, clips, labels, fold)
    assert after.history[0]["stop_loss"] == pytest.approx(min(e["stop_loss"] for e in before.history), rel=0.1)
    assert after.history[0]["stop_loss"] < 0.7 * anew.history[0]["stop_loss"]


def test_labels_that_both_know_keep_their_outputs_wherever_they_stand() -> None:
    torch.manual_seed(0)
    old, new = build(RECIPE, 3), build(RECIPE, 3)
    fresh = new.state_dict()["model.head.weight"].clone()
    begin_with(new, ["b", "new", "c"], Start(old.state_dict(), ["a", "b", "c"], RECIPE))
    theirs, mine = old.state_dict()["model.head.weight"], new.state_dict()["model.head.weight"]
    assert torch.equal(mine[0], theirs[1])
    assert torch.equal(mine[1], fresh[1])
    assert torch.equal(mine[2], theirs[2])
    assert torch.equal(new.state_dict()["model.dense.0.weight"], old.state_dict()["model.dense.0.weight"])


def test_more_labels_than_before_are_no_obstacle() -> None:
    old, new = build(RECIPE, 2), build(RECIPE, 5)
    begin_with(new, list("abcde"), Start(old.state_dict(), ["d", "b"], RECIPE))
    assert torch.equal(new.state_dict()["model.head.bias"][3], old.state_dict()["model.head.bias"][0])


def test_another_network_is_refused() -> None:
    other = build(override(RECIPE, ["model.hidden=[24]"]), 3)
    with pytest.raises(UserError, match=r"--init holds another network: model\.layers"):
        begin_with(build(RECIPE, 3), list("abc"), Start(other.state_dict(), list("abc"), RECIPE))


def test_a_fold_never_begins_with_weights_that_saw_its_test_clips(
    clips: Clips, labels: list[str], folds: Folds, tmp_path: Path
) -> None:
    place = locate(tmp_path)
    run = runs.Run(
        recipe=override(RECIPE, ["train.epochs=1"]), data="", data_fingerprint=clips.fingerprint, extractor="",
        labels=tuple(labels), num_folds=3, folds_spec="3", folds_fingerprint=folds.fingerprint, holdout=(),
        subject_independent=True,
    )  # fmt: skip
    runs.start_run(place, run, folds.table([str(name) for name in clips.column("clip_id")]), resume=False)
    for fold in folds.folds:
        train_fold(run, clips, fold, place)
    with pytest.raises(UserError, match="not finished"):
        starts(clips, folds, place)
    runs.finish_run(place, run, clips)
    assert starts(clips, folds, place) == {0: 0, 1: 1, 2: 2}
    assert start_of(place, 1).labels == tuple(labels)
    fewer = clips.select(range(5, len(clips)))  # the same clips, though the data's fingerprint is another
    everything, nothing = np.arange(len(fewer)), np.array([], int)
    with pytest.raises(UserError, match="was trained on clips that fold 0 or the holdout tests"):
        starts(fewer, Folds((Fold(0, everything, everything, everything),), nothing, "3", True), place)
    with pytest.raises(UserError, match="or the holdout tests"):
        starts(fewer, Folds((Fold(0, everything, everything, nothing),), everything, "3", True), place)
    ids = [str(name) for name in clips.column("clip_id")]
    others = [f"other/{i}" for i in range(len(clips))]
    (place / "folds.parquet").write_parquet(folds.table(others, ids[:1]))  # pre-trained on, without its label
    with pytest.raises(UserError, match="or the holdout tests"):
        starts(clips, folds, place)
    (place / "folds.parquet").write_parquet(folds.table(ids))
    column = clips.table.schema.get_field_index("clip_id")
    renamed = clips.table.set_column(column, "clip_id", [others])
    assert starts(replace(clips, table=renamed), folds, place) == {0: 0, 1: 1, 2: 2}


def test_one_output_for_two_classes_is_taken_over_only_for_the_same_two() -> None:
    falls = find_recipe("fall_detection")
    old, same, other = build(falls, 2), build(falls, 2), build(falls, 2)
    fresh = other.state_dict()["model.head.weight"].clone()
    begin_with(same, ["ADL", "Fall"], Start(old.state_dict(), ["ADL", "Fall"], falls))
    begin_with(other, ["Fall", "Walk"], Start(old.state_dict(), ["ADL", "Fall"], falls))
    assert torch.equal(same.state_dict()["model.head.weight"], old.state_dict()["model.head.weight"])
    assert torch.equal(other.state_dict()["model.head.weight"], fresh)
