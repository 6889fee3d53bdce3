"""If these fail, a run that goes on with other settings begins again, forgets what it had, or mixes two experiments."""

import json
from pathlib import Path

import pytest

from sigflow import runs
from sigflow.data.clips import Clips
from sigflow.data.folds import make_folds
from sigflow.errors import UserError
from sigflow.pipelines.fold_worker import train_fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.settings import obstacles_to_going_on
from sigflow.storage import Location, locate

RECIPE = override(
    find_recipe("isolated_gestures"),
    ["train.epochs=4", "model.hidden=[16]", "model.dense=8", "model.dropout=0.1", "optim.lr=1e-2"],
)


def trained(place: Location, clips: Clips, labels: list[str], *settings: str, resume: bool = False) -> runs.Run:
    names = [str(name) for name in clips.column("label")]
    folds = make_folds(names, clips.column("subject"), clips.column("split"), spec="5")
    run = runs.Run(
        recipe=override(RECIPE, settings), data="", data_fingerprint=clips.fingerprint, extractor="",
        labels=tuple(labels), num_folds=1, folds_spec="5", folds_fingerprint=folds.fingerprint, holdout=(),
        subject_independent=True,
    )  # fmt: skip
    ids = [str(name) for name in clips.column("clip_id")]
    run = runs.start_run(place, run, folds.table(ids), resume=resume)
    if not runs.fold_is_done(place, 0, run.key):
        train_fold(run, clips, folds.folds[0], place)
    return run


def test_it_goes_on_where_it_ended_with_the_new_settings(clips: Clips, labels: list[str], tmp_path: Path) -> None:
    place, other = locate(tmp_path / "run"), locate(tmp_path / "other")
    first = trained(place, clips, labels)
    before = runs.read_fold_summary(place, 0)["history"]
    changed = ("train.epochs=7", "train.patience=60", "model.dropout=0.5", "optim.weight_decay=7e-4")
    second = trained(place, clips, labels, *changed, resume=True)
    after = runs.read_fold_summary(place, 0)["history"]
    assert after[:4] == before
    assert [epoch["epoch"] for epoch in after] == [1, 2, 3, 4, 5, 6, 7]
    assert second.continues == (first.key,)
    assert runs.read_run(place).recipe.optim.weight_decay == 7e-4
    trained(other, clips, labels, "train.epochs=7")
    assert runs.read_fold_summary(other, 0)["history"][4:] != after[4:]  # the new settings do count
    assert trained(place, clips, labels, *changed, resume=True) == second  # a second time nothing is to be done
    third = trained(place, clips, labels, resume=True)  # back again: nothing is trained, or lost
    assert third.continues == (second.key, first.key)
    assert runs.read_fold_summary(place, 0)["history"] == after


def test_only_a_longer_training_is_the_one_that_was_planned_so_long(
    clips: Clips, labels: list[str], tmp_path: Path
) -> None:
    one, two = locate(tmp_path / "one"), locate(tmp_path / "two")
    trained(one, clips, labels)
    trained(one, clips, labels, "train.epochs=6", resume=True)
    trained(two, clips, labels, "train.epochs=6")
    a, b = (json.loads((place / "fold_0" / "fold.json").read_bytes()) for place in (one, two))
    assert a["history"] == b["history"]
    assert a["metrics"] == b["metrics"]


def test_a_run_is_not_finished_while_it_goes_on(clips: Clips, labels: list[str], tmp_path: Path) -> None:
    place = locate(tmp_path / "run")
    trained(place, clips, labels)
    (place / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match="with other settings; add --resume to go on with these"):
        trained(place, clips, labels, "train.epochs=5")
    assert (place / "metrics.json").exists()
    trained(place, clips, labels, "train.epochs=5", resume=True)
    with pytest.raises(UserError, match="not finished"):
        runs.read_oof(place)


@pytest.mark.parametrize(
    "setting", ["model.hidden=[24]", "train.seed=1", "train.stop_on=accuracy", "optim.kind=adam", "train.batch_size=8"]
)
def test_what_cannot_change_on_the_way_is_named(clips: Clips, labels: list[str], tmp_path: Path, setting: str) -> None:
    place = locate(tmp_path / "run")
    trained(place, clips, labels)
    name = setting.partition("=")[0]
    with pytest.raises(UserError, match=rf"{name}.* cannot change on the way\); choose another --out"):
        trained(place, clips, labels, setting, resume=True)


def test_what_may_change_is_no_obstacle() -> None:
    fine = ["train.patience=50", "train.refit_epochs=2", "optim.lr=1e-4", "augmentation.scale=0.2", "gates.macro_f1=1"]
    assert obstacles_to_going_on(RECIPE, override(RECIPE, [*fine, "model.dropout=0.65", "monitors.grace=3"])) == []
