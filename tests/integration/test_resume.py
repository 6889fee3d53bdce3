"""A long extraction is killed, changed and run again: the rows are those of a run that nobody disturbed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.chaos.conftest import at_work, pull_the_plug
from tests.integration.conftest import ROOT, Cluster, start_node, wait_for

pytestmark = pytest.mark.slow
COPIES = 4


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, sample_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("undisturbed")
    cluster.job("extract", "--videos", sample_videos, "--out", out)
    return rows(out)


@pytest.fixture
def videos(sample_videos: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sample_videos, tmp_path / "videos"))


def rows(out: Path) -> dict[str, Any]:
    """Every stored clip, by id; fails when one is there twice."""
    table = pq.read_table(out / "landmarks").drop_columns(["source", "source_modified_ms"])
    found = {row["clip_id"]: row for row in table.to_pylist()}
    assert len(found) == len(table)
    return found


def committed(out: Path) -> int:
    return len(list((out / "landmarks").glob("*.parquet"))) if out.exists() else 0


def start(cluster: Cluster, videos: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [sys.executable, ROOT / "jobs/extract.py", "--videos", videos, "--out", out, *words]
    return subprocess.Popen(command, env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_driver_resumes_to_the_same_rows(
    cluster: Cluster, videos: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = start(cluster, videos, out)
    wait_for(lambda: committed(out) >= 2, seconds=120)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # Ray ends the dead driver's actors
    before = committed(out)
    answer = cluster.job("extract", "--videos", videos, "--out", out)
    assert answer["skipped"] > 0
    assert answer["clips"] + answer["skipped"] == 24
    assert committed(out) >= before
    assert rows(out) == undisturbed
    assert not list(out.rglob(".partial*"))


def test_a_changed_video_is_extracted_again_and_the_others_are_not(
    cluster: Cluster, videos: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    cluster.job("extract", "--videos", videos, "--out", out)
    assert rows(out) == undisturbed
    changed, other = videos / "ada/victory/0.mp4", videos / "ada/swipe_in/0.mp4"
    changed.write_bytes(other.read_bytes())
    os.utime(changed, (1, 1))
    answer = cluster.job("extract", "--videos", videos, "--out", out)
    assert (answer["clips"], answer["skipped"]) == (1, 23)
    now = rows(out)
    assert now["ada/victory/0.mp4"]["right_hand"] == undisturbed["ada/swipe_in/0.mp4"]["right_hand"]
    assert {name: row for name, row in now.items() if name != "ada/victory/0.mp4"} == {
        name: row for name, row in undisturbed.items() if name != "ada/victory/0.mp4"
    }


def test_other_options_do_not_mix_unless_told_to(cluster: Cluster, videos: Path, tmp_path: Path) -> None:
    out, few = tmp_path / "out", videos / "ada"
    words = ("--videos", few, "--out", out)
    assert cluster.job("extract", *words)["clips"] == 6
    refused = cluster.run(sys.executable, ROOT / "jobs/extract.py", *words, "--every", "2")
    assert refused.returncode == 2
    assert "other options" in refused.stderr
    kept = cluster.job("extract", *words, "--every", "2", "--on-change", "keep")
    assert (kept["clips"], kept["skipped"]) == (0, 6)
    replaced = cluster.job("extract", *words, "--every", "2", "--on-change", "replace")
    assert (replaced["clips"], replaced["skipped"]) == (6, 0)
    assert len({row["extractor"] for row in rows(out).values()}) == 1


def test_quarantined_clips_are_tried_again_only_when_asked(cluster: Cluster, videos: Path, tmp_path: Path) -> None:
    out, few = tmp_path / "out", videos / "ada"
    words = ("--videos", few, "--out", out)
    hard = cluster.job("extract", *words, "--clip-memory-mb", "20")
    assert (hard["clips"], hard["failed"]) == (0, 6)
    assert cluster.job("extract", *words)["skipped"] == 6
    again = cluster.job("extract", *words, "--retry-failed")
    assert (again["clips"], again["failed"], again["skipped"]) == (6, 0, 0)
    assert not list((out / "quarantine").iterdir())


@pytest.fixture
def second_node(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    node = start_node(cluster)
    yield node
    pull_the_plug(node)


def test_a_killed_node_loses_no_clip(
    cluster: Cluster,
    second_node: subprocess.Popen[bytes],
    sample_videos: Path,
    undisturbed: dict[str, Any],
    tmp_path: Path,
) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    for copy in range(COPIES):  # enough for the node to be at work before the others have done it all
        for subject in filter(Path.is_dir, sample_videos.iterdir()):
            shutil.copytree(subject, videos / f"{subject.name}{copy}")
    driver = start(cluster, videos, out)

    def at_work_there() -> bool:  # a detector's process is there once a worker has got a clip
        assert driver.poll() is None, "it ended before the node was at work"
        return committed(out) >= 3 and bool(at_work(second_node, "sigflow.landmarks.isolated"))

    wait_for(at_work_there, seconds=200)
    pull_the_plug(second_node)
    assert driver.wait(240) == 0
    found = rows(out)
    assert len(found) == COPIES * len(undisturbed)
    for clip_id, row in found.items():
        who, _, rest = clip_id.partition("/")
        assert row == undisturbed[f"{who[:-1]}/{rest}"] | {"clip_id": clip_id, "subject": who}
