"""If these fail, a search loses what it found when it is killed, or copies the data for each trial."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from sigflow.recipes.catalogue import find_recipe
from sigflow.storage import Location
from tests.integration.conftest import ROOT, Cluster, wait_for

SETTINGS = ("model.hidden=[16]", "model.dense=16", "train.epochs=8")


def words(data: Location, out: Path, *more: str) -> tuple[str, ...]:
    sets = tuple(word for setting in SETTINGS for word in ("--set", setting))
    return ("--recipe", "isolated_gestures", "--data", data.uri, "--out", str(out), "--folds", "3", *sets, *more)


@pytest.fixture(scope="module")
def tuned(
    cluster: Cluster, gesture_landmarks: Location, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """A search of 12 trials: its folder, its answer, what it told people."""
    out = tmp_path_factory.mktemp("tuned") / "out"
    done = cluster.run(
        sys.executable, ROOT / "jobs/tune.py", *words(gesture_landmarks, out, "--trials", "12", "--concurrent", "4")
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1  # Ray says nothing there
    return out, json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_a_search_finds_stops_tells_and_measures_again(tuned: tuple[Path, dict[str, Any], str]) -> None:
    out, answer, said = tuned
    trials = pq.read_table(out / "trials.parquet").to_pylist()
    assert answer["trials"] == len(trials) == 12
    assert answer["complete"] + answer["stopped_early"] == 12
    assert answer["stopped_early"] >= 4
    assert all(row["folds"] < 3 for row in trials if row["state"] == "stopped")
    assert trials[0]["optim.lr"] == 3e-3  # the recipe as it is
    complete = [row["score"] for row in trials if row["state"] == "complete"]
    assert answer["best"]["score"] == max(complete) >= answer["as_it_was"]["score"]
    again = json.loads((Path(answer["remeasured"]["run"]) / "metrics.json").read_text())
    assert answer["remeasured"]["score"] == again["macro_f1_mean"]
    assert "Believe this one" in said
    assert said.count("starting Ray") + said.count("joining Ray") == 1
    assert {"index.html", "trials.png", "parallel.png", "importance.png"} == {
        f.name for f in (out / "report").iterdir()
    }
    best = find_recipe(answer["recipe"])
    assert best.optim.lr == answer["best"]["overrides"]["optim.lr"]
    assert (best.train.epochs, best.model.model_dump()["hidden"]) == (8, (16,))


@pytest.mark.slow
def test_a_search_is_not_overwritten_and_goes_on_when_asked(
    cluster: Cluster, gesture_landmarks: Location, tuned: tuple[Path, dict[str, Any], str]
) -> None:
    out, answer, _ = tuned
    refused = cluster.run(sys.executable, ROOT / "jobs/tune.py", *words(gesture_landmarks, out, "--trials", "12"))
    assert refused.returncode == 2
    assert "--resume" in refused.stderr.splitlines()[-1]
    same = cluster.job("tune", *words(gesture_landmarks, out, "--trials", "12", "--resume"))
    assert {**same, "seconds": 0} == {**answer, "seconds": 0}


@pytest.mark.slow
def test_sigkill_of_the_driver_loses_at_most_what_was_running(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, str(ROOT / "jobs/tune.py"),
        *words(gesture_landmarks, out, "--trials", "16", "--concurrent", "2", "--resume", "--set", "train.patience=8"),
    ]  # fmt: skip

    def ended() -> dict[str, str]:
        return {file.name: file.read_text() for file in sorted((out / "trials").glob("0*.json"))}

    def enough(least: int) -> bool:
        return len(ended()) >= least

    for least in (3, 8):
        driver = subprocess.Popen(
            command, env=cluster.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(partial(enough, least), seconds=200)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        before = ended()
        time.sleep(3)  # Ray ends the dead driver's workers
    done = cluster.run(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == 16
    after = ended()
    assert len(after) == 16
    assert {name: after[name] for name in before} == before
    assert max(int(name[:4]) for name in after) <= 15 + 4  # two were running each time
    assert not list(out.rglob(".partial*"))


def worker_processes() -> list[psutil.Process]:
    """Of trials that run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        name = " ".join(process.info["cmdline"] or [])
        if name.startswith("ray::") and "ImplicitFunc" in name and "train" in name:
            found.append(process)
    return found


@pytest.mark.slow
def test_a_killed_worker_costs_no_trial(cluster: Cluster, gesture_landmarks: Location, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [
        sys.executable, str(ROOT / "jobs/tune.py"),
        *words(gesture_landmarks, out, "--trials", "6", "--concurrent", "1", "--set", "train.epochs=60"),
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(command, env=cluster.environment, cwd=ROOT, stdout=log, stderr=log)
    wait_for(lambda: bool(worker_processes()) and len(list((out / "trials").glob("0*.json"))) >= 1, seconds=200)
    for worker in worker_processes():
        os.kill(worker.pid, signal.SIGKILL)
    assert driver.wait(280) == 0, (tmp_path / "log").read_text()
    states = pq.read_table(out / "trials.parquet")["state"].to_pylist()
    assert len(states) == 6
    assert "failed" not in states


@pytest.mark.slow
def test_failed_trials_do_not_end_the_search_and_the_clips_are_put_once(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    script = """
import json, sys
import ray
from sigflow.pipelines import tune as job
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.space import Choice
from sigflow.storage import locate

puts, put = [], ray.put
def counted(value, **options):
    puts.append(isinstance(value, dict) and "parts" in value)
    return put(value, **options)
ray.put = counted
recipe = override(find_recipe("isolated_gestures"), ["model.dense=8", "model.hidden=[8]", "train.epochs=4"])
space = {"optim.lr": Choice(values=(0.003, 1e30)), "model.hidden": Choice(values=((8,), (12,), (10000000,)))}
answer = job.tune(
    [recipe], locate(sys.argv[1]), locate(sys.argv[2]), spaces={recipe.name: space}, folds_spec="3", method="random",
    trials=14, concurrent=4, force=["too_many_parameters"],
)
print(json.dumps({"puts": sum(puts), **answer}))
"""
    done = cluster.run(sys.executable, "-c", script, gesture_landmarks.uri, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["puts"] == 2  # of clips: for all trials, and for the winner's run
    rows = pq.read_table(tmp_path / "out" / "trials.parquet").to_pylist()
    assert len(rows) == 14
    for row in rows:
        if row["model.hidden"] == "[10000000]":
            assert row["reason"].startswith(("out of memory", "bad configuration"))
        elif row["optim.lr"] == 1e30:
            assert row["reason"].startswith("diverged")
        else:
            assert row["state"] in ("complete", "stopped")
    assert answer["failed"] == sum(row["state"] == "failed" for row in rows) >= 4
    assert answer["complete"] >= 1


@pytest.mark.slow
def test_a_time_limit_ends_the_search_and_keeps_what_it_found(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    more = ("--time-limit", "0.5", "--concurrent", "2", "--search", "random")
    answer = cluster.job("tune", *words(gesture_landmarks, out, *more))
    rows = pq.read_table(out / "trials.parquet").to_pylist()
    assert answer["trials"] == len(rows) >= 2
    assert max(row["ended_s"] for row in rows) < 45
    assert answer["best"]["folds"] == 3
