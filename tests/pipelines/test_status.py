"""If these fail, somebody who looks at a job of many hours sees no progress, or the wrong one."""

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from sigflow import runs
from sigflow.errors import UserError
from sigflow.pipelines.commit import commit_block
from sigflow.pipelines.status import look, status
from sigflow.recipes.catalogue import find_recipe, find_space
from sigflow.schema import LANDMARKS_DIR, QUARANTINE_SCHEMA
from sigflow.storage import Location, locate
from sigflow.training import Checkpoint
from sigflow.tuning import Search, start_search, write_trial
from tests.tuning.made import trial


def quarantined(*clip_ids: str) -> pa.Table:
    rows = [{"clip_id": clip_id, "stage": "decode", "error": "cut off"} for clip_id in clip_ids]
    return pa.Table.from_pylist(rows, schema=QUARANTINE_SCHEMA)


def test_a_data_set_shows_what_is_done_what_failed_and_what_is_to_go(
    gesture_landmarks: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, videos = locate(tmp_path / "out"), tmp_path / "videos"
    clips = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    commit_block(out, clips["clip_id"].to_pylist()[:40], [clips.slice(0, 40)], [])
    commit_block(out, ["a", "b"], [], [quarantined("a", "b")])
    for number in range(100):
        (videos / "x" / f"{number}.mp4").parent.mkdir(parents=True, exist_ok=True)
        (videos / "x" / f"{number}.mp4").touch()
    (found,) = status([out], videos=locate(videos))["folders"]
    assert (found["clips"], found["failed"], found["of"]) == (40, 2, 100)
    assert found["failed_by_stage"] == {"decode": 2}
    assert found["clips_per_s"] == pytest.approx(42 / 600, abs=0.001)
    assert found["left_s"] == pytest.approx(58 / (42 / 600), rel=0.01)
    (line,) = capsys.readouterr().err.splitlines()
    assert "42 of 100 clips done, 2 of them failed (decode 2)" in line
    assert "14 min left" in line


def test_a_job_that_stopped_long_ago_has_no_speed(gesture_landmarks: Location, tmp_path: Path) -> None:
    out = locate(tmp_path)
    clips = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    commit_block(out, clips["clip_id"].to_pylist(), [clips], [])
    (file,) = (tmp_path / LANDMARKS_DIR).iterdir()
    os.utime(file, (time.time() - 3600,) * 2)
    found = look(out)
    assert (found["clips"], found["clips_per_s"], found["of"], found["left_s"]) == (60, 0.0, None, None)
    assert found["written_s_ago"] == pytest.approx(3600, abs=60)


def begun(place: Location, finished: Location) -> runs.Run:
    """The run of `finished` with one fold done, one at epoch 7, and one that has written nothing."""
    there = runs.read_run(finished)
    runs.start_run(place, there, (finished / "folds.parquet").read_parquet(), resume=False)
    for file in (finished / "fold_0").files():
        (place / "fold_0" / file.name).write_bytes(file.read_bytes())
    history = [{"epoch": epoch, "loss": 1 / epoch, "stop_loss": 2 / epoch} for epoch in range(1, 8)]
    state = {"descent": {"history": history, "weights": torch.zeros(3)}}
    Checkpoint(place / "fold_1" / "checkpoint.pt", f"{there.key}/1").save(state)
    Checkpoint(place / "fold_2" / "checkpoint.pt", "another run/2").save(state)
    return there


def test_a_run_shows_each_fold(trained_run: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begun(locate(tmp_path), trained_run)
    (found,) = status([locate(tmp_path)])["folders"]
    done, under_way, waiting = found["folds"]
    assert done["state"] == "done"
    assert 0 <= done[run.recipe.score] <= 1
    assert under_way == {
        "fold": 1,
        "state": "begun",
        "epoch": 7,
        "loss": pytest.approx(1 / 7),
        "stop_loss": pytest.approx(2 / 7),
    }
    assert waiting == {"fold": 2, "state": "waiting"}
    assert not found["finished"]
    assert "1/3 folds done; fold 2 epoch 7/15" in capsys.readouterr().err


def test_a_finished_run_shows_its_score(trained_run: Location, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = status([trained_run])["folders"]
    assert found["finished"]
    assert found["score"] == json.loads((trained_run / "metrics.json").read_bytes())["macro_f1_mean"]
    assert "finished: macro_f1" in capsys.readouterr().err


def test_a_search_shows_its_trials_the_best_and_what_is_measured_again(
    trained_run: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recipe = locate(tmp_path), find_recipe("isolated_gestures")
    search = Search(
        recipes=(recipe,), spaces={recipe.name: dict(find_space(recipe))}, data="x", data_fingerprint="x",
        folds_spec="3", folds_fingerprint="x", holdout=(), method="tpe",
    )  # fmt: skip
    start_search(out, search, resume=False)
    assert status([out])["folders"][0]["best"] is None
    for each in (trial(0, 0.5, 0.6, 0.7), trial(1, 0.8, 0.9, 0.7), trial(2, 0.1)):
        write_trial(out, each)
    begun(out / "remeasured_0001", trained_run)
    (found,) = status([out])["folders"]
    assert (found["trials"], found["complete"], found["stopped"], found["failed"]) == (3, 2, 1, 0)
    assert (found["best"]["trial"], found["best"]["score"]) == (1, pytest.approx(0.8))
    assert [fold["state"] for fold in found["remeasured"]["folds"]] == ["done", "begun", "waiting"]
    said = capsys.readouterr().err
    assert "3 trials ended (1 stopped early, 0 failed), best 0.8000 (trial 1)" in said
    assert "measured again: run of isolated_gestures: 1/3 folds done" in said


def test_a_bundle_says_which_it_is(exported_bundle: Location) -> None:
    (found,) = status([exported_bundle])["folders"]
    assert (found["kind"], found["name"], found["version"]) == ("bundle", "gestures", "1a2b3c")


def test_what_the_page_learns_shows_its_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [{"name": "extract", "state": "done", "seconds": 3}, {"name": "train", "state": "running", "done": 1}]
    (tmp_path / "learn.json").write_text(json.dumps({"state": "running", "stages": stages, "error": None}))
    assert status([locate(tmp_path)])["folders"][0]["state"] == "running"
    assert "running: extract done, train running" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", ["learn.json", "search.json", "run.json"])
def test_a_damaged_file_is_named(tmp_path: Path, damaged: str) -> None:
    (tmp_path / damaged).write_text("{")
    with pytest.raises(UserError, match=f"{damaged}.* is damaged"):
        look(locate(tmp_path))


def test_a_folder_that_no_job_wrote_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds nothing that a job has finished"):
        look(locate(tmp_path))
