"""If these fail, a search with a population hangs, scores copied weights, or cannot be gone on with."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sigflow.recipes.catalogue import find_recipe
from sigflow.storage import Location
from sigflow.tuning.population import found, read_population
from tests.integration.conftest import ROOT, Cluster, wait_for
from tests.integration.test_tuning import words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PBT = ("--search", "pbt", "--trials", "5", "--concurrent", "2", "--set", "train.epochs=3")


def test_what_a_population_ends_with_is_tried_from_the_start(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    """First killed, then gone on with; what has ended is not repeated."""
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "jobs/tune.py"), *words(gesture_landmarks, out, *PBT, "--resume")]
    driver = subprocess.Popen(
        command, env=cluster.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: bool(list(out.glob("ray/population/members/*/checkpoint_*"))), seconds=200)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (out / "population.parquet").exists()
    done = cluster.run(*command)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    steps = read_population(Location(str(out)))
    assert steps is not None
    assert sorted((step.member, step.segment) for step in steps) == [(m, s) for m in range(5) for s in (1, 2, 3)]
    assert answer["population"]["copied"] == sum(step.donor is not None for step in steps) == 4
    at = {(step.member, step.segment): step for step in steps}
    for step in steps:
        before = at.get((step.member if step.donor is None else step.donor, step.segment - 1))
        assert step.donor is None or before is not None
        if before is not None:
            assert (step.settings != before.settings) == (step.donor is not None)
    trials = pq.read_table(out / "trials.parquet").to_pylist()
    assert trials[0]["optim.lr"] == find_recipe("isolated_gestures").optim.lr
    own = at[0, 1].settings
    tried = [{key: trial[key] for key in own} for trial in trials]
    assert tried == [own, *(settings for settings in found(steps, "macro_f1") if settings != own)]
    assert "model.hidden" not in trials[0]  # is not searched: weights of other sizes cannot be copied
    assert (out / "report" / "population.png").exists()
    assert not (out / "ray" / "population").exists()
    assert "segment 3/3" in done.stderr
    written = (out / "population.parquet").stat().st_mtime_ns
    same = cluster.job("tune", *words(gesture_landmarks, out, *PBT, "--resume"))
    assert {**same, "seconds": 0} == {**answer, "seconds": 0}
    assert (out / "population.parquet").stat().st_mtime_ns == written


def test_members_that_fail_end_no_search_and_say_why(
    cluster: Cluster, gesture_landmarks: Location, tmp_path: Path
) -> None:
    script = """
import json, sys
from sigflow.pipelines.tune import tune
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.space import Uniform
from sigflow.storage import locate

recipe = override(find_recipe("isolated_gestures"), ["model.dense=8", "model.hidden=[8]", "train.epochs=2"])
answer = tune(
    [recipe], locate(sys.argv[1]), locate(sys.argv[2]), folds_spec="3", method="pbt", trials=3,
    spaces={recipe.name: {"optim.lr": Uniform(low=1e29, high=1e30)}},
)
print(json.dumps(answer))
"""
    done = cluster.run(sys.executable, "-c", script, gesture_landmarks.uri, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    rows = pq.read_table(tmp_path / "out" / "population.parquet").to_pylist()
    assert len(rows) == 6
    for row in rows:
        if row["member"] == 0:  # the recipe as it is
            assert row["score"] is not None
        else:  # with any rate of this space, its own ones and those that it was given with good weights
            assert row["reason"].startswith("diverged: fold 0 diverged")
    assert answer["population"]["failed"] == 2
    assert answer["trials"] == 1
    assert answer["best"]["overrides"] == {"optim.lr": find_recipe("isolated_gestures").optim.lr}


def test_nobody_waits_for_a_member_that_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    """Ray's own scheduler does, for ever, when its members go in step."""
    script = """
import json, os, sys, tempfile
from pathlib import Path
import ray.tune
from sigflow.pipelines.job import connect
from sigflow.pipelines.population import InStep
from sigflow.pipelines.search import quiet

def member(config):
    there = ray.tune.get_checkpoint()
    with tempfile.TemporaryDirectory() as folder:
        if there:
            there.to_directory(folder)
        segment = int((Path(folder) / "n").read_text()) if there else 0
        while segment < 4:
            segment += 1
            if config["me"] == 1 and segment >= 2:
                os._exit(1)
            (Path(folder) / "n").write_text(str(segment))
            checkpoint = ray.tune.Checkpoint.from_directory(folder)
            ray.tune.report({"segment": segment, "score": config["me"]}, checkpoint=checkpoint)

connect()
with quiet():
    results = ray.tune.Tuner(
        ray.tune.with_resources(member, {"cpu": 2}),
        param_space={"me": ray.tune.grid_search([0, 1, 2, 3])},
        tune_config=ray.tune.TuneConfig(
            scheduler=InStep(
                time_attr="segment", metric="score", mode="max", perturbation_interval=1, synch=True,
                log_config=False, custom_explore_fn=lambda config: config,
            ),
            reuse_actors=True,
        ),
        run_config=ray.tune.RunConfig(
            storage_path=sys.argv[1], stop={"segment": 4}, verbose=0,
            failure_config=ray.tune.FailureConfig(max_failures=1),
        ),
    ).fit()
print(json.dumps([[each.metrics["segment"], each.config["me"], each.error is not None] for each in results]))
"""
    done = cluster.run(sys.executable, "-c", script, tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("[["))  # Ray tells of the lost one there
    ends = json.loads(line)
    assert sorted(ends) == [[1, 1, True], *[[4, 3, False]] * 3]  # 0 became a copy of 3, and then 2 did
