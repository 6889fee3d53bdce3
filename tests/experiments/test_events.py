"""If these fail, TensorBoard shows nothing of a run, or other figures than those that were trained."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sigflow import runs
from sigflow.experiments import write_events
from sigflow.experiments.events import FILE
from sigflow.storage import Location, locate


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder)).Reload()
    return {name: [(s.step, s.value) for s in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_reads_every_figure_of_a_fold_at_its_epoch(trained_run: Location, tmp_path: Path) -> None:
    history = runs.read_fold_summary(trained_run, 0)["history"]
    write_events(locate(tmp_path) / "fold_0", history)
    seen = read(tmp_path / "fold_0")
    for name, column in (("loss/train", "loss"), ("loss/stop", "stop_loss"), ("accuracy/stop", "stop_accuracy")):
        assert [step for step, _ in seen[name]] == [epoch["epoch"] for epoch in history]
        assert [value for _, value in seen[name]] == pytest.approx([epoch[column] for epoch in history], rel=1e-6)
    assert len(seen) == len(history[0]) - 1


def test_a_fold_that_is_written_again_is_not_there_twice(tmp_path: Path) -> None:
    for loss in (3.0, 1.0):
        write_events(locate(tmp_path), [{"epoch": 1, "loss": loss}])
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert read(tmp_path) == {"loss/train": [(1, 1.0)]}


def test_members_of_a_portfolio_do_not_run_into_each_other_and_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    history = [{"epoch": 1, "member": member, "loss": member + 0.5, "grad_norm": None} for member in (0, 1)]
    write_events(locate(tmp_path), [*history, {"epoch": 2, "member": 1, "loss": float("nan")}])
    assert read(tmp_path) == {"member_0/loss/train": [(1, 0.5)], "member_1/loss/train": [(1, 1.5)]}


def test_a_history_without_epochs_is_a_file_that_opens(tmp_path: Path) -> None:
    write_events(locate(tmp_path), [])
    assert read(tmp_path) == {}
