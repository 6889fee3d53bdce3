"""The steps a user takes, one after the other, on a real cluster with real videos and real HTTP."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sigflow.data.clips import load_clips
from sigflow.pipelines.demo import ask
from sigflow.pipelines.material import clip_inputs
from sigflow.storage import locate
from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for

# 24 clips are too few for anything but a test; the audit says so.
FORCED = ("--force", "small_test_fold,too_many_parameters,lonely_test_class")
QUICK = ("--set", "train.epochs=40", "--set", "train.patience=10", *FORCED)


@pytest.fixture(scope="module")
def videos(sample_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample videos, with three that cannot be read among them."""
    folder = tmp_path_factory.mktemp("mine") / "videos"
    shutil.copytree(sample_videos, folder)
    good = next(iter(sorted(folder.rglob("*.mp4"))))
    (good.parent / "text.mp4").write_text("this is no video")
    (good.parent / "empty.mp4").touch()
    (good.parent / "truncated.mp4").write_bytes(good.read_bytes()[:2000])
    return folder


@pytest.fixture(scope="module")
def extracted(cluster: Cluster, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("landmarks")
    return out, cluster.job("extract", "--videos", videos, "--out", out)


@pytest.fixture(scope="module")
def trained(
    cluster: Cluster, extracted: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    run = tmp_path_factory.mktemp("runs") / "first"
    words = ("--recipe", "isolated_gestures", "--data", extracted[0], "--out", run, "--folds", "subject", *QUICK)
    return run, cluster.job("train", *words, "--holdout", "dee")


@pytest.fixture(scope="module")
def bundle(
    cluster: Cluster, trained: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    place = tmp_path_factory.mktemp("bundles") / "gestures"
    return place, cluster.job("ensemble", "--runs", trained[0], "--out", place, "--name", "gestures")


@pytest.fixture(scope="module")
def server(
    cluster: Cluster, bundle: tuple[Path, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    port = free_port()
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "serve", "--bundle", str(bundle[0]), "--port", str(port)]
        process = subprocess.Popen(command, env=cluster.environment, stdout=output, stderr=output, cwd=ROOT)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=90)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_extraction_counts_what_it_did_and_what_failed(extracted: tuple[Path, dict[str, Any]]) -> None:
    out, answer = extracted
    assert (answer["clips"], answer["failed"], answer["skipped"], answer["quarantined"]) == (24, 3, 0, 3)
    assert answer["found"] >= 0.95
    failures = pq.read_table(out / "quarantine").to_pylist()
    assert {Path(row["clip_id"]).name for row in failures} == {"text.mp4", "empty.mp4", "truncated.mp4"}
    assert all(row["stage"] in ("open", "decode") and row["error"] for row in failures)


def test_extracting_again_does_nothing_and_says_so(
    cluster: Cluster, videos: Path, extracted: tuple[Path, dict[str, Any]]
) -> None:
    out, _ = extracted
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*.parquet"))
    answer = cluster.job("extract", "--videos", videos, "--out", out)
    assert (answer["clips"], answer["failed"], answer["skipped"], answer["quarantined"]) == (0, 0, 27, 3)
    assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*.parquet")) == before


def test_training_writes_a_whole_run_and_tests_every_clip_once(
    extracted: tuple[Path, dict[str, Any]], trained: tuple[Path, dict[str, Any]]
) -> None:
    run, answer = trained
    assert answer["gates"]["macro_f1"]["passed"] is (answer["metrics"]["macro_f1"] >= 0.8)
    oof = pq.read_table(run / "oof.parquet")
    assert sorted(oof["clip_id"].to_pylist()) == sorted(
        str(clip_id)
        for clip_id in load_clips(locate(extracted[0]), ("left_hand",)).column("clip_id")
        if "dee/" not in str(clip_id)
    )
    assert {"run.json", "folds.parquet", "oof.parquet", "history.csv", "metrics.json", "report", "tensorboard"} <= {
        p.name for p in run.iterdir()
    }


def test_what_cannot_mean_anything_is_refused_before_it_is_trained(
    cluster: Cluster, extracted: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    words = ("--recipe", "isolated_gestures", "--data", extracted[0], "--out", tmp_path / "run", "--folds", "subject")
    refused = cluster.run(sys.executable, ROOT / "jobs/train.py", *words)
    assert refused.returncode == 2
    assert "small_test_fold" in refused.stderr.splitlines()[-1]
    assert "--force" in refused.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_begins_with_the_weights_of_another(
    cluster: Cluster, extracted: tuple[Path, dict[str, Any]], trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    words = ("--recipe", "isolated_gestures", "--data", extracted[0], "--folds", "subject", "--holdout", "dee", *QUICK)
    more = ("--out", tmp_path / "tuned", "--init", trained[0], "--set", "train.epochs=1", "--workers", "4")
    cluster.job("train", *words, *more)
    tuned = json.loads((tmp_path / "tuned" / "fold_0" / "fold.json").read_text())["history"][0]
    first = json.loads((trained[0] / "fold_0" / "fold.json").read_text())["history"][0]
    assert tuned["stop_loss"] < first["stop_loss"]


def test_a_run_is_not_overwritten_and_resumes_without_training_again(
    cluster: Cluster, extracted: tuple[Path, dict[str, Any]], trained: tuple[Path, dict[str, Any]]
) -> None:
    run, answer = trained
    words = ("--recipe", "isolated_gestures", "--data", extracted[0], "--out", run, "--folds", "subject", *QUICK)
    refused = cluster.run(sys.executable, ROOT / "jobs/train.py", *words, "--holdout", "dee")
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    weights = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*.safetensors"))
    again = cluster.job("train", *words, "--holdout", "dee", "--resume")
    assert again["metrics"] == answer["metrics"]
    assert sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*.safetensors")) == weights


@pytest.mark.slow
def test_one_worker_gives_the_numbers_of_several(
    cluster: Cluster, extracted: tuple[Path, dict[str, Any]], trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    words = ("--recipe", "isolated_gestures", "--data", extracted[0], "--folds", "subject", *QUICK, "--holdout", "dee")
    alone = cluster.job("train", *words, "--out", tmp_path / "alone", "--workers", "1")
    assert alone["metrics"] == trained[1]["metrics"]


def test_the_bundle_is_measured_on_the_holdout(bundle: tuple[Path, dict[str, Any]]) -> None:
    place, answer = bundle
    assert answer["measured_on"] == "holdout subjects"
    assert max(answer["parity"].values()) <= 1e-4
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["metrics"]["holdout"]["clips"] == 6
    assert list(manifest["metrics"]["holdout"]["per_subject"]) == ["dee"]


def test_http_answers_are_right_for_somebody_new(extracted: tuple[Path, dict[str, Any]], server: int) -> None:
    clips = load_clips(locate(extracted[0]), ("left_hand", "right_hand"))
    rows = [i for i, subject in enumerate(clips.column("subject")) if subject == "dee"]
    given = [label for label, _ in ask(server, "gestures", clip_inputs(clips, rows))]
    assert sum(label == clips.column("label")[row] for row, label in zip(rows, given, strict=True)) >= 5


def test_a_changed_byte_is_refused(cluster: Cluster, bundle: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle[0], copy)
    graph = bytearray((copy / "model.fp32.onnx").read_bytes())
    graph[1000] ^= 1
    (copy / "model.fp32.onnx").write_bytes(bytes(graph))
    refused = cluster.run(sys.executable, "-m", "serve", "--bundle", copy, "--port", str(free_port()))
    assert refused.returncode == 2
    assert "sha256" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_submitted_jobs_run_and_need_the_token(cluster: Cluster, sample_videos: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    (command,) = re.findall(r"^ray job submit (?:.*\\\n)*.*$", readme, re.MULTILINE)[:1]
    command = command.replace("http://127.0.0.1:8265", cluster.dashboard).replace('"$PWD/', f'"{tmp_path}/')
    (tmp_path / "my_clips").symlink_to(sample_videos)
    done = cluster.run("bash", "-ec", command)
    assert done.returncode == 0, done.stdout + done.stderr
    answer = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    assert answer["clips"] == 24
    refused = cluster.run("bash", "-ec", command, RAY_AUTH_TOKEN_PATH="", RAY_AUTH_TOKEN="0" * 64)
    assert refused.returncode != 0
    assert "token" in (refused.stdout + refused.stderr).lower()


def test_a_second_server_is_refused_and_leaves_the_first_alone(
    cluster: Cluster, bundle: tuple[Path, dict[str, Any]], server: int
) -> None:
    command = (sys.executable, "-m", "serve", "--bundle", bundle[0], "--port")
    same_port = cluster.run(*command, str(server))
    assert same_port.returncode == 2
    assert "choose another --port" in same_port.stderr
    other_port = cluster.run(*command, str(free_port()))
    assert other_port.returncode == 2
    assert "runs on this cluster already" in other_port.stderr
    assert answers(f"http://127.0.0.1:{server}/readyz")
