"""If these fail, a resumed run mixes folds of two experiments, or a score is not that of the stored predictions."""

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from sigflow import runs
from sigflow.data.clips import load_clips
from sigflow.errors import UserError
from sigflow.recipes.recipe import override, read_recipe
from sigflow.storage import Location, locate


@pytest.fixture
def run(trained_run: Location) -> runs.Run:
    return runs.read_run(trained_run)


@pytest.fixture
def copy(trained_run: Location, tmp_path: Path) -> Location:
    shutil.copytree(trained_run.uri, tmp_path / "run")
    return locate(tmp_path / "run")


def folds_table(place: Location) -> object:
    return (place / "folds.parquet").read_parquet()


def test_a_run_reads_back_as_it_was_started(tmp_path: Path, trained_run: Location, run: runs.Run) -> None:
    place = locate(tmp_path) / "new"
    runs.start_run(place, run, folds_table(trained_run), resume=False)
    assert runs.read_run(place) == run
    assert runs.read_run(place).key == run.key
    assert folds_table(place) == folds_table(trained_run)


def test_the_same_run_goes_on_only_when_asked_to(copy: Location, run: runs.Run) -> None:
    with pytest.raises(UserError, match="add --resume"):
        runs.start_run(copy, run, folds_table(copy), resume=False)
    runs.start_run(copy, run, folds_table(copy), resume=True)
    assert all(runs.fold_is_done(copy, fold, run.key) for fold in range(run.num_folds))


@pytest.mark.parametrize(
    "change",
    [{"data_fingerprint": "other"}, {"folds_fingerprint": "other"}, {"labels": ("a", "b", "c")}],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("resume", [False, True])
def test_another_run_is_never_continued_or_overwritten(
    copy: Location, run: runs.Run, change: dict[str, object], resume: bool
) -> None:
    other = run.model_copy(update=change)
    with pytest.raises(UserError, match="holds a run of another recipe, data or folds"):
        runs.start_run(copy, other, folds_table(copy), resume=resume)
    assert runs.read_run(copy) == run


def test_another_recipe_is_another_run_and_another_path_to_the_data_is_not(run: runs.Run) -> None:
    other = run.model_copy(update={"recipe": override(run.recipe, ["optim.lr=1e-5"])})
    assert other.key != run.key
    assert run.model_copy(update={"data": "s3://elsewhere"}).key == run.key


def test_a_fold_without_its_mark_is_not_done(copy: Location, run: runs.Run) -> None:
    (Path(copy.uri) / "fold_1" / "fold.json").unlink()
    assert [runs.fold_is_done(copy, fold, run.key) for fold in range(4)] == [True, False, True, False]


def test_a_fold_of_another_run_is_not_done(copy: Location, run: runs.Run) -> None:
    assert not runs.fold_is_done(copy, 0, "0123456789abcdef")


def test_a_folds_weights_and_summary_read_back_as_they_were_written(
    copy: Location, trained_run: Location, run: runs.Run
) -> None:
    weights = {"a": torch.randn(3, 2), "b": torch.zeros(1)}
    test = (trained_run / "fold_0" / "test.parquet").read_parquet()
    runs.write_fold(copy, run.key, 5, weights=weights, test=test, summary={"best_epoch": 4})
    assert runs.fold_is_done(copy, 5, run.key)
    again = runs.read_fold_weights(copy, 5)
    assert all(torch.equal(again[name], weight) for name, weight in weights.items())
    assert again.keys() == weights.keys()
    assert runs.read_fold_summary(copy, 5) == {"key": run.key, "fold": 5, "best_epoch": 4}


def test_every_clip_is_predicted_once_by_the_fold_that_never_saw_its_subject(
    trained_run: Location, run: runs.Run
) -> None:
    oof = runs.read_oof(trained_run).to_pylist()
    folds = (trained_run / "folds.parquet").read_parquet().to_pylist()
    tested = {row["clip_id"]: row["fold"] for row in folds if row["role"] == "test"}
    assert {row["clip_id"]: row["fold"] for row in oof} == tested
    assert len(oof) == len(tested) == 60
    seen = {(row["fold"], row["clip_id"].split("/")[0]) for row in folds if row["role"] in ("train", "stop")}
    assert not {(row["fold"], row["subject"]) for row in oof} & seen
    assert all(row["label"] == row["clip_id"].split("/")[1] for row in oof)
    assert run.subject_independent


def test_the_metrics_are_those_of_the_stored_predictions(trained_run: Location, run: runs.Run) -> None:
    metrics = json.loads((trained_run / "metrics.json").read_bytes())
    oof = runs.read_oof(trained_run)
    predicted = [run.labels[k] for k in np.array(oof["probs"].to_pylist()).argmax(1)]
    right = np.array(predicted) == np.array(oof["label"].to_pylist())
    assert metrics["accuracy"] == pytest.approx(right.mean())
    assert metrics["macro_f1_mean"] == pytest.approx(np.mean(metrics["macro_f1_folds"]))
    assert metrics["macro_f1_std"] == pytest.approx(np.std(metrics["macro_f1_folds"]))
    assert metrics["subject_independent"] is True
    assert metrics["worst_subject"]["accuracy"] == min(v["accuracy"] for v in metrics["per_subject"].values())


def test_gates_say_what_was_asked_and_whether_it_was_reached(copy: Location, run: runs.Run) -> None:
    recipe = override(run.recipe, ["gates.macro_f1=1.01", "gates.worst_subject_accuracy=0.0"])
    gates = runs.finish_run(copy, run.model_copy(update={"recipe": recipe}))["gates"]
    assert (gates["macro_f1"]["target"], gates["macro_f1"]["passed"]) == (1.01, False)
    assert (gates["worst_subject_accuracy"]["target"], gates["worst_subject_accuracy"]["passed"]) == (0.0, True)


def test_what_was_not_measured_does_not_pass_and_is_said(copy: Location, run: runs.Run) -> None:
    """Three classes know no false alarms, and no five likeliest."""
    wanted = ["gates.false_alarms_per_hour=1.0", "gates.top_5=0.5", "gates.ece=1.0", "gates.macro_f1=0.0"]
    metrics = runs.finish_run(copy, run.model_copy(update={"recipe": override(run.recipe, wanted)}))
    passed = {name: gate["passed"] for name, gate in metrics["gates"].items()}
    assert passed == {"macro_f1": True, "top_5": False, "ece": True, "false_alarms_per_hour": False}
    assert [line.split(",")[0] for line in runs.missed_gates(metrics)] == [
        "gate missed: top_5 was not measured", "gate missed: false_alarms_per_hour was not measured",
    ]  # fmt: skip


def test_every_figure_has_its_spread_and_the_headline_an_interval(trained_run: Location) -> None:
    metrics = json.loads((trained_run / "metrics.json").read_bytes())
    assert metrics["spread"]["roc_auc"]["mean"] == pytest.approx(np.mean(metrics["spread"]["roc_auc"]["folds"]))
    for name in ("accuracy", "macro_f1"):
        low, high = metrics["intervals"][name]
        assert low <= metrics[name] <= high
    assert (metrics["intervals"]["units"], metrics["intervals"]["resamples"]) == (5, 1000)
    assert sum(part["clips"] for part in metrics["reliability"]) == metrics["clips"]


def test_predictions_know_how_long_each_clip_is(copy: Location, run: runs.Run, gesture_landmarks: Location) -> None:
    clips = load_clips(gesture_landmarks, run.recipe.parts)
    runs.finish_run(copy, run, clips)
    durations = {row["clip_id"]: row["duration_s"] for row in runs.read_oof(copy).to_pylist()}
    expected = (row["num_frames"] / row["fps"] for row in clips.table.to_pylist())
    assert [durations[name] for name in clips.column("clip_id")] == pytest.approx(list(expected), rel=1e-4)
    runs.finish_run(copy, run)
    assert runs.read_oof(copy)["duration_s"].null_count == 60


def test_class_weights_are_of_each_folds_own_training_clips(copy: Location, run: runs.Run) -> None:
    runs.finish_run(copy, run)
    weights = json.loads((copy / "class_weights.json").read_bytes())
    folds = (copy / "folds.parquet").read_parquet().to_pylist()
    for number, fold in enumerate(weights["folds"]):
        trained = [row["clip_id"].split("/")[1] for row in folds if (row["fold"], row["role"]) == (number, "train")]
        assert {label: value["clips"] for label, value in fold.items()} == Counter(trained)
        for label, value in fold.items():
            assert value["weight"] == pytest.approx(len(trained) / (3 * trained.count(label)))


def test_weights_of_clips_that_nobody_knows_are_not_made_up(copy: Location, run: runs.Run) -> None:
    (Path(copy.uri) / "class_weights.json").unlink()
    folds = (copy / "folds.parquet").read_parquet().to_pylist()
    split = [{**row, "clip_id": f"other/{row['clip_id']}"} if row["role"] == "train" else row for row in folds]
    (copy / "folds.parquet").write_parquet(pa.Table.from_pylist(split))
    runs.finish_run(copy, run)
    assert not (copy / "class_weights.json").exists()


def test_a_folds_scaler_and_the_runs_recipe_and_environment_can_be_read(trained_run: Location, run: runs.Run) -> None:
    scaler = json.loads((trained_run / "fold_1" / "scaler.json").read_bytes())
    weights = runs.read_fold_weights(trained_run, 1)
    assert scaler == {name: weights[f"scaler.{name}"].tolist() for name in ("mean", "std")}
    assert read_recipe(Path((trained_run / "recipe.json").uri)) == run.recipe
    assert json.loads((trained_run / "environment.json").read_bytes())["packages"]["torch"]


def test_the_history_has_a_row_for_each_epoch_of_each_fold(trained_run: Location, run: runs.Run) -> None:
    rows = list(csv.DictReader(io.StringIO((trained_run / "history.csv").read_bytes().decode())))
    summaries = [runs.read_fold_summary(trained_run, fold) for fold in range(run.num_folds)]
    assert [(int(row["fold"]), int(row["epoch"])) for row in rows] == [
        (summary["fold"], epoch["epoch"]) for summary in summaries for epoch in summary["history"]
    ]
    assert float(rows[0]["stop_loss"]) == summaries[0]["history"][0]["stop_loss"]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run \(no run\.json\)"):
        runs.read_run(locate(tmp_path))


def test_an_unfinished_run_has_no_results(copy: Location) -> None:
    (Path(copy.uri) / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"is not finished; .*--resume"):
        runs.read_oof(copy)


def test_predictions_of_unknown_people_are_kept_as_unknown(trained_run: Location) -> None:
    table = runs.predictions_table(["x", "y"], 2, ["a", "b"], [None, "bo"], [np.array([0.25, 0.75]), np.array([1, 0])])
    assert table["subject"].to_pylist() == [None, "bo"]
    assert table["probs"].to_pylist() == [[0.25, 0.75], [1.0, 0.0]]
    run = runs.read_run(trained_run).model_copy(update={"labels": ("a", "b")})
    assert runs.oof_metrics(table, run)["accuracy"] == 0.0
