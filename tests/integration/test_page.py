"""If this fails, nobody gets from nothing to a working recogniser in a browser, or a job is lost with its replica."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for
from tests.integration.serving import Serving

pytestmark = pytest.mark.slow
GESTURES = ("open_close", "swipe_in", "victory")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def server(cluster: Cluster, folder: Path, tmp_path: Path) -> Iterator[Serving]:
    """`python -m serve --page DIR` with nothing to serve."""
    port = free_port()
    command = [sys.executable, "-m", "serve", "--page", str(folder), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=cluster.environment, stdout=log, stderr=log)
    serving = Serving(cluster, port)
    try:
        wait_for(lambda: process.poll() is None and answers(f"{serving.url}/readyz"), seconds=120)
        yield serving
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        print((tmp_path / "log").read_text())


def job_of(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/page/jobs")
    assert answer.status_code == 200, answer.text
    return answer.json()["job"] or {}


def stage_of(client: httpx.Client, name: str) -> dict[str, Any]:
    return next(stage for stage in job_of(client)["stages"] if stage["name"] == name)


def ended(client: httpx.Client) -> dict[str, Any]:
    """The job, when it runs no more."""
    wait_for(lambda: job_of(client)["state"] != "running", seconds=240)
    return job_of(client)


def learners() -> list[psutil.Process]:
    words = "sigflow.pipelines.learn"
    return [each for each in psutil.process_iter(["cmdline"]) if words in (each.info["cmdline"] or [])]


def test_from_nothing_to_a_recogniser(server: Serving, folder: Path, sample_videos: Path, tmp_path: Path) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.get("/readyz").json() == {"status": "ready", "models": []}
        assert "sigflow" in client.get("/").text

        videos = sorted(sample_videos.glob("*/*/*.mp4"))
        for video in videos:
            subject, label, _ = video.relative_to(sample_videos).parts
            stored = client.post(
                "/page/clips", params={"subject": subject, "label": label}, content=video.read_bytes(),
                headers={"content-type": "video/mp4"},
            )  # fmt: skip
            assert stored.status_code == 201, stored.text
            assert stored.json()["warnings"] == []
        clips = client.get("/page/state").json()["clips"]
        assert clips == {subject.name: dict.fromkeys(GESTURES, 2) for subject in SUBJECTS[:4]}

        begun = client.post("/page/jobs", json={"until": "audit"})
        assert begun.status_code == 202, begun.text
        audited = ended(client)
        assert (audited["state"], audited["error"]) == ("done", None)
        assert [stage["name"] for stage in audited["stages"]] == ["extract", "audit"]
        force = [found["code"] for found in audited["findings"] if found["severity"] == "error"]
        assert "small_test_fold" in force
        assert not list((folder / "seen" / "landmarks").iterdir()), "what recording saw was not looked at again"

        refused = client.post("/page/jobs", json={})
        assert refused.status_code == 202
        refused_job = ended(client)
        assert refused_job["state"] == "failed"
        assert "small_test_fold" in refused_job["error"]
        assert str(folder) not in json.dumps(refused_job)

        # Stopped in the middle; nothing of it is left at work, and the next one goes on from there.
        wanted = {"name": "my_signs", "force": force}
        assert client.post("/page/jobs", json=wanted).status_code == 202
        assert client.post("/page/jobs", json=wanted).status_code == 409
        wait_for(lambda: stage_of(client, "train")["state"] == "running", seconds=240)
        assert len(learners()) == 1
        stopped = client.delete("/page/jobs").json()["job"]
        assert (stopped["state"], stopped["error"]) == ("stopped", None)
        assert learners() == []

        assert client.post("/page/jobs", json=wanted).status_code == 202
        wait_for(lambda: stage_of(client, "train")["state"] == "running", seconds=240)
        (replica,) = server.processes()
        os.kill(replica, signal.SIGKILL)
        wait_for(lambda: server.processes() not in ([], [replica]) and answers(f"{server.url}/readyz"), seconds=120)
        learnt = ended(client)
        print({stage["name"]: stage["seconds"] for stage in learnt["stages"]}, learnt["result"])
        assert learnt["state"] == "done", learnt["error"]
        assert {stage["state"] for stage in learnt["stages"]} == {"done"}
        result = learnt["result"]
        assert (result["name"], result["subject_independent"], result["clips"]) == ("my_signs", True, 24)

        for gesture in GESTURES:
            clip = render_clip(SUBJECTS[0], gesture, 7)
            write_video(tmp_path / "new.mp4", clip.frames_THWC, clip.fps)
            answer = client.post(
                "/v1/models/my_signs:predictVideo", content=(tmp_path / "new.mp4").read_bytes(),
                headers={"content-type": "video/mp4"},
            )  # fmt: skip
            assert answer.status_code == 200, answer.text
            assert answer.json()["version"] == result["version"]
            assert answer.json()["predictions"][0]["label"] == gesture

        # Once more: all is there, and the version that is published stays as it is.
        manifest = folder / "bundles" / "my_signs" / result["version"] / "manifest.json"
        before = manifest.read_bytes()
        assert client.post("/page/jobs", json=wanted).status_code == 202
        assert ended(client)["result"] == result
        assert manifest.read_bytes() == before

        # Killed from outside: its state is not "running" for ever.
        assert client.post("/page/jobs", json={"until": "audit"}).status_code == 202
        wait_for(lambda: len(learners()) == 1, seconds=60)
        learners()[0].kill()
        killed = ended(client)
        assert killed["state"] == "failed"
        assert "signal 9" in killed["error"]
