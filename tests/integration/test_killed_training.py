"""A training is killed at random moments and resumed: its figures are those of one that nobody disturbed."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from sigflow import runs
from sigflow.pipelines.audit import prepare
from sigflow.pipelines.fold_worker import train_fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.integration.conftest import ROOT, Cluster, wait_for
from tests.integration.noted import Note, read_notes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # Ray starts three times, on a machine that may be busy
FOLDS, EPOCHS = 3, 100
SETTINGS = (f"train.epochs={EPOCHS}", f"train.patience={EPOCHS}", "model.hidden=[24]", "model.dense=8",
            "model.dropout=0.3", "augmentation.noise_sizes=0.02")  # fmt: skip


@pytest.fixture
def start(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts, or resumes, the training that is killed; as a submitted job, which is how Ray knows of the notes."""
    job = {"runtime_env": {"worker_process_setup_hook": "tests.integration.noted.install",
                           "env_vars": {"PYTHONPATH": str(ROOT)}}}  # fmt: skip
    environment = cluster.environment | {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
    command = [sys.executable, str(ROOT / "jobs/train.py"), "--recipe", "isolated_gestures", "--data",
               gesture_landmarks.uri, "--out", str(tmp_path / "run"), "--folds", str(FOLDS), "--resume",
               "--workers", "2", *(word for setting in SETTINGS for word in ("--set", setting))]  # fmt: skip
    drivers = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "driver.log").open("ab") as log:
            drivers.append(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()


def undisturbed(data: Location, out: Location, *settings: str) -> dict[str, object]:
    """The same training fold after fold in this process, without Ray; its metrics.json."""
    recipe = override(find_recipe("isolated_gestures"), [*SETTINGS, *settings])
    plan = prepare(recipe, data, folds_spec=str(FOLDS))
    run = runs.Run(
        recipe=plan.recipe, data=data.uri, data_fingerprint=plan.clips.fingerprint, extractor="",
        labels=tuple(plan.labels), num_folds=FOLDS, folds_spec=str(FOLDS), folds_fingerprint=plan.folds.fingerprint,
        holdout=(), subject_independent=plan.folds.subject_independent,
    )  # fmt: skip
    ids = [str(clip_id) for clip_id in plan.clips.column("clip_id")]
    runs.start_run(out, run, plan.folds.table(ids), resume=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker's
    for fold in plan.folds.folds:
        train_fold(run, plan.clips, fold, out)
    torch.set_num_threads(threads)
    return dict(runs.finish_run(out, run, plan.clips))


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_sigkill_at_random_moments_changes_no_figure(
    start: Callable[[], subprocess.Popen[bytes]], gesture_landmarks: Location, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "run", tmp_path / "whole"
    moments = random.Random(0)
    interrupted: list[Note] = []

    def in_the_middle(driver: subprocess.Popen[bytes]) -> Note:
        """Wait for some more epochs, and until a fold that goes on is far from its end; the last note of that fold."""
        before = {note.process for note in read_notes(killed)}
        more = moments.randint(10, 40)

        def reached() -> bool:
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()
            notes = [note for note in read_notes(killed) if note.process not in before]
            last = [note for note in {note.fold: note for note in notes}.values() if 3 < note.epoch < EPOCHS - 20]
            interrupted.extend(last[: len(notes) >= more])
            return bool(last) and len(notes) >= more

        wait_for(reached, seconds=300)
        return interrupted[-1]

    driver = start()
    os.kill(in_the_middle(driver).process, signal.SIGKILL)  # a worker, for which Ray starts another
    for _ in range(2):
        in_the_middle(driver)
        driver.kill()
        driver.wait()
        for process in {note.process for note in read_notes(killed)}:  # as when the machine goes: Ray takes its time
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        wait_for(lambda: not any(alive(note.process) for note in read_notes(killed)), seconds=60)  # Ray ends them
        driver = start()
    assert driver.wait(900) == 0, (tmp_path / "driver.log").read_text()

    notes = read_notes(killed)
    for last in interrupted:
        of_fold = [note for note in notes if note.fold == last.fold]
        end = max(number for number, note in enumerate(of_fold) if note.process == last.process)
        assert of_fold[end + 1].act == "loaded"
        assert of_fold[end + 1].epoch >= last.epoch
    for fold in range(FOLDS):
        saved = [note.epoch for note in notes if note.fold == fold and note.act == "saved"]
        assert saved == sorted(set(saved))  # no epoch is trained again
    undisturbed(gesture_landmarks, locate(whole))
    for name in ("metrics.json", "history.csv"):
        assert (killed / name).read_text() == (whole / name).read_text()


def test_one_seed_gives_the_same_figures_and_another_one_others(gesture_landmarks: Location, tmp_path: Path) -> None:
    first, again, other = (
        undisturbed(gesture_landmarks, locate(tmp_path / name), "train.epochs=10", f"train.seed={seed}")
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first == again
    assert first["log_loss"] != other["log_loss"]
