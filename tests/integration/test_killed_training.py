"""A training is killed at random moments and resumed: its figures are those of one that nobody disturbed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sigflow.storage import Location
from tests.integration.conftest import ROOT, Cluster, wait_for

pytestmark = pytest.mark.slow
SETTINGS = ("train.epochs=60", "train.patience=60", "model.hidden=[24]", "model.dense=8", "model.dropout=0.3",
            "augmentation.noise_sizes=0.02")  # fmt: skip


def words(data: Location, out: Path) -> list[str]:
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    flags = ["--recipe", "isolated_gestures", "--data", data.uri, "--out", str(out), "--folds", "3", "--resume"]
    return [sys.executable, str(ROOT / "jobs/train.py"), *flags, "--workers", "2", *sets]


def figures(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "metrics.json").read_text())
    return found


def test_sigkill_at_random_moments_changes_no_figure(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert cluster.run(*words(gesture_landmarks, whole)).returncode == 0
    moments = random.Random(0)
    for _ in range(3):
        driver = subprocess.Popen(
            words(gesture_landmarks, killed), env=cluster.environment, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for((killed / "run.json").exists, seconds=120)
        time.sleep(moments.uniform(2, 12))
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        time.sleep(3)  # Ray ends the dead driver's workers
    assert cluster.run(*words(gesture_landmarks, killed)).returncode == 0
    assert figures(killed) == figures(whole)
    assert (killed / "history.csv").read_text() == (whole / "history.csv").read_text()


def test_another_seed_gives_other_figures(cluster: Cluster, gesture_landmarks: Location, tmp_path: Path) -> None:
    assert cluster.run(*words(gesture_landmarks, tmp_path / "a")).returncode == 0
    assert cluster.run(*words(gesture_landmarks, tmp_path / "b"), "--set", "train.seed=1").returncode == 0
    assert figures(tmp_path / "a")["log_loss"] != figures(tmp_path / "b")["log_loss"]
