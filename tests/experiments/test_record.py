"""If these fail, an experiment is missing from the log, is there twice, or is told otherwise than it was."""

import json
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from sigflow import runs
from sigflow.errors import UserError
from sigflow.experiments import record
from sigflow.experiments.index import add_row, find_run, read_index
from sigflow.experiments.row import row_of
from sigflow.storage import Location, locate
from tests.experiments.made import finished


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Location:
    return locate(tmp_path / "runs")


def test_a_run_is_told_as_it_was(folder: Location) -> None:
    """16 clips of four people; dee's 4 are all wrong: she is worst with 0, and 12 of 16 are right."""
    given = [[0], [1], [0], [0]] * 4
    run, metrics = finished(folder / "first", settings=["optim.lr=0.0003"], given=given, data="s3://me:pw@bucket/x")
    assert record(folder / "first", run, metrics | {"warnings": ["one", "two"]}, 12.5) == []
    (row,) = read_index(folder)
    expected = {
        "run": "first", "recipe": "isolated_gestures", "overrides": ["optim.lr=0.0003"], "data": "s3://bucket/x",
        "folds": "2", "num_folds": 2, "clips": 16, "subjects": 4, "classes": 2, "score_name": "macro_f1",
        "accuracy": 0.75, "worst_subject": "dee", "worst_subject_accuracy": 0.0, "best_epoch": 2.0, "epochs": 2.5,
        "seconds": 12.5, "warnings": 2, "alarms": 1, "holdout": 0, "subject_independent": True,
        "uri": (folder / "first").uri, "gates": len(metrics["gates"]),
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    # Fold 0 tests ada and cy, all a and right: F1 of a is 1, and b does not occur. Fold 1: bo's b right, dee's b not.
    assert row["score"] == pytest.approx((2 * 8 / 20 + 2 * 4 / 12) / 2) == pytest.approx(metrics["macro_f1"])
    assert (row["score_mean"], row["score_sd"]) == (metrics["macro_f1_mean"], metrics["macro_f1_std"])
    assert [row["score_low"], row["score_high"]] == metrics["intervals"]["macro_f1"]
    for name, value in (("train_loss", 0.5), ("stop_loss", 0.8), ("train_accuracy", 0.85), ("stop_accuracy", 0.7)):
        assert row[name] == pytest.approx(value), name
    assert row["gap"] == pytest.approx(0.15)
    assert row["sigflow"]
    assert row["started"] <= row["finished"] <= datetime.now(UTC)
    assert json.loads(row["recipe_json"])["optim"]["lr"] == 0.0003


def test_a_run_that_was_trained_is_recorded_with_its_parameters_and_gates(
    trained_run: Location, tmp_path: Path
) -> None:
    shutil.copytree(trained_run.uri, tmp_path / "runs" / "first")
    place = locate(tmp_path / "runs" / "first")
    run, metrics = runs.read_run(place), json.loads((place / "metrics.json").read_bytes())
    assert record(place, run, metrics, 3.0) == []
    (row,) = read_index(locate(tmp_path / "runs"))
    # LSTM 64 -> 32 -> dense 32 -> 3 on 63 inputs, with the two biases of torch: 46,339 + 4 * 64 + 4 * 32.
    assert row["parameters"] == 46_339 + 4 * 64 + 4 * 32
    assert row["gates_passed"] == sum(gate["passed"] for gate in metrics["gates"].values())
    assert row["overrides"] == ["train.epochs=15"]
    assert row["epochs"] <= 15
    assert row["gap"] == pytest.approx(row["train_accuracy"] - row["stop_accuracy"])


def test_a_resumed_run_replaces_its_row_and_one_that_is_only_looked_at_keeps_its_seconds(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    record(folder / "first", run, metrics, 12.5)
    record(folder / "first", run, metrics, 0.5)  # nothing was left to train
    assert [row["seconds"] for row in read_index(folder)] == [12.5]
    os.utime(f"{folder}/first/fold_1/fold.json", (2e9, 2e9))  # trained again
    record(folder / "first", run, metrics, 7.0)
    assert [row["seconds"] for row in read_index(folder)] == [7.0]


def test_a_deleted_run_stays_in_the_log_beside_the_next_of_its_name(folder: Location) -> None:
    for settings in ([], ["optim.lr=0.0003"]):
        record(folder / "a", *finished(folder / "a", settings=settings), 1.0)
        shutil.rmtree(f"{folder}/a")
    rows = read_index(folder)
    assert [row["overrides"] for row in rows] == [[], ["optim.lr=0.0003"]]
    assert find_run(rows, "a")["overrides"] == ["optim.lr=0.0003"]
    with pytest.raises(UserError, match="no run 'b' in the log; it has a"):
        find_run(rows, "b")


def test_runs_that_end_together_lose_no_row(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    row = row_of(folder / "first", run, metrics, 1.0)
    gate = threading.Barrier(12)

    def end(number: int) -> None:
        gate.wait()
        add_row(folder, row | {"run": f"run{number}"})

    threads = [threading.Thread(target=end, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row["run"] for row in read_index(folder)} == {f"run{number}" for number in range(12)}


def test_rows_of_an_older_sigflow_stay_readable(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    record(folder / "first", run, metrics, 1.0)
    (file,) = (folder / "index").files()
    old = {name: value for name, value in json.loads(file.read_bytes()).items() if name not in ("gap", "alarms")}
    (folder / "index" / "0000.json").write_text(json.dumps(old | {"run": "old"}))
    record(folder / "first", run, metrics, 1.0)
    assert {each["run"]: each["gap"] for each in read_index(folder)} == {"old": None, "first": pytest.approx(0.15)}
    file = folder / "index.parquet"
    file.write_parquet(file.read_parquet().drop_columns(["gap", "alarms"]))
    assert [each["gap"] for each in read_index(folder)] == [None, None]


def test_a_damaged_row_is_said_and_raises_nothing(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    (folder / "index" / "0000.json").write_text("{half")
    (said,) = record(folder / "first", run, metrics, 1.0)
    assert "0000.json" in said


def test_somebody_elses_file_is_left_alone_and_the_run_is_kept(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    for content in (b"mine", None):
        if content:
            (folder / "index.parquet").write_bytes(content)
        else:
            (folder / "index.parquet").write_parquet(pa.table({"page": [1]}))
        before = (folder / "index.parquet").read_bytes()
        (said,) = record(folder / "first", run, metrics, 1.0)
        assert "is not a log of runs; move it away" in said
        assert (folder / "index.parquet").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_said_and_raises_nothing(folder: Location) -> None:
    run, metrics = finished(folder / "first")
    (folder / "index").write_text("a file where the rows should be")
    (said,) = record(folder / "first", run, metrics, 1.0)
    assert "the run is not in the log of experiments" in said


def test_no_log_is_an_answer_that_helps(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no index.parquet; give the folder above the --out"):
        read_index(locate(tmp_path))
