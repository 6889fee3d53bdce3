"""Sets that are too large for memory: from object storage, by every machine for itself, and nothing is left of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import fs

from sigflow import runs
from sigflow.pipelines.audit import prepare
from sigflow.pipelines.fold_worker import train_fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.schema import LANDMARKS_DIR
from sigflow.storage import Location, locate
from tests.integration.conftest import ROOT, Cluster, wait_for
from tests.integration.mapped import FOLDS, SETTINGS
from tests.integration.noted import read_notes
from tests.integration.test_killed_training import alive

Start = Callable[[str, Path], subprocess.Popen[str]]


@pytest.fixture
def data(gesture_landmarks: Location, tmp_path: Path) -> Path:
    """The gestures in three files; of two clips nobody knows the label, so that they are left out."""
    table = (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()
    labels = [None if row in (7, 30) else label for row, label in enumerate(table["label"].to_pylist())]
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array(labels))
    for number in range(3):
        rows = list(range(number, len(table), 3))
        (locate(tmp_path) / f"data/{LANDMARKS_DIR}/{number}.parquet").write_parquet(table.take(rows))
    return tmp_path / "data"


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    """Below which there are this user's spools, whichever process made them."""
    return tmp_path / "spools"


@pytest.fixture
def start(cluster: Cluster, s3: dict[str, str], spools: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a driver whose workers see the object storage, note their epochs, and keep spools at `spools`."""
    more = s3 | {"SIGFLOW_SPOOL": str(spools), "PYTHONPATH": str(ROOT)}
    job = {"runtime_env": {"worker_process_setup_hook": "tests.integration.noted.install", "env_vars": more}}
    environment = cluster.environment | more | {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job)}
    drivers = []

    def start(data: str, out: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.mapped", data, str(out)]
        with (tmp_path / "driver.log").open("a") as log:
            drivers.append(
                subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
            )
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.kill()
        driver.wait()


def ended(driver: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """Its metrics."""
    said, _ = driver.communicate(timeout=280)
    assert driver.returncode == 0, log.read_text()
    metrics: dict[str, Any] = json.loads(said.splitlines()[-1])
    return metrics


def from_memory(data: Path, out: Path) -> dict[str, Any]:
    """The same training in this process, without Ray and without a spool."""
    plan = prepare(override(find_recipe("isolated_gestures"), SETTINGS), locate(data), folds_spec=FOLDS)
    assert plan.clips.spool is None
    run = runs.Run(
        recipe=plan.recipe, data=str(data), data_fingerprint=plan.fingerprint, extractor="",
        labels=tuple(plan.labels), num_folds=len(plan.folds.folds), folds_spec=FOLDS,
        folds_fingerprint=plan.folds.fingerprint, holdout=(), subject_independent=plan.folds.subject_independent,
    )  # fmt: skip
    ids = [str(clip_id) for clip_id in plan.clips.column("clip_id")]
    runs.start_run(locate(out), run, plan.folds.table(ids), resume=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker's
    for fold in plan.folds.folds:
        train_fold(run, plan.clips, fold, locate(out))
    torch.set_num_threads(threads)
    return runs.finish_run(locate(out), run, plan.clips)


@pytest.mark.slow
def test_a_mapped_set_gives_the_figures_of_one_in_memory_and_leaves_nothing(
    start: Start, data: Path, spools: Path, s3: dict[str, str], tmp_path: Path
) -> None:
    system = fs.S3FileSystem(
        access_key="test", secret_key="test", endpoint_override=s3["AWS_ENDPOINT_URL"].removeprefix("http://"),
        scheme="http",
    )  # fmt: skip
    fs.copy_files(str(data), "bucket/large", destination_filesystem=system)
    metrics = ended(start("s3://bucket/large", tmp_path / "run"), tmp_path / "driver.log")
    whole = from_memory(data, tmp_path / "whole")
    assert {name: metrics[name] for name in whole} == whole
    tested = pq.read_table(tmp_path / "run/oof.parquet")
    assert tested.equals(pq.read_table(tmp_path / "whole/oof.parquet"))
    assert len(set(tested["clip_id"].to_pylist())) == len(tested) == 58  # not one is lost
    assert not list(spools.glob("*/*"))
    assert "mapped from" in (tmp_path / "driver.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_killed_run_left_is_taken_up_and_removed(start: Start, data: Path, spools: Path, tmp_path: Path) -> None:
    killed = tmp_path / "run"
    driver = start(str(data), killed)
    wait_for(lambda: driver.poll() is not None or len(read_notes(killed)) > 5, seconds=280)
    assert driver.poll() is None, (tmp_path / "driver.log").read_text()
    assert list(spools.glob("*/*"))
    driver.kill()
    driver.wait()
    for process in {note.process for note in read_notes(killed)}:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    wait_for(lambda: not any(alive(note.process) for note in read_notes(killed)), seconds=60)
    assert list(spools.glob("*/*"))  # nobody was left to remove it
    metrics = ended(start(str(data), killed), tmp_path / "driver.log")
    assert not list(spools.glob("*/*"))
    assert metrics["log_loss"] == from_memory(data, tmp_path / "whole")["log_loss"]
