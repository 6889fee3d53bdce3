"""If these fail, nobody gets from nothing to a working recogniser in a browser, or a job is lost with its replica."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from tests.integration.conftest import Cluster, answers, wait_for
from tests.integration.serving import Serving, page_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # what is awaited below may take as long on busy cores
GESTURES = ("open_close", "swipe_in", "victory")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def server(cluster: Cluster, folder: Path, tmp_path: Path) -> Iterator[Serving]:
    """`python -m serve --page DIR` with nothing to serve."""
    with page_server(cluster, tmp_path / "log", "--page", folder) as serving:
        yield serving
    print((tmp_path / "log").read_text())


@pytest.fixture
def client(server: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def record(client: httpx.Client, subject: str, label: str, video: bytes) -> dict[str, Any]:
    asked = {"subject": subject, "label": label}
    answer = client.post("/page/clips", params=asked, content=video, headers={"content-type": "video/mp4"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def begin(client: httpx.Client, **wanted: Any) -> None:
    answer = client.post("/page/jobs", json=wanted)
    assert answer.status_code == 202, answer.text


def job_of(client: httpx.Client) -> dict[str, Any]:
    answer = client.get("/page/jobs")
    assert answer.status_code == 200, answer.text
    return answer.json()["job"] or {}


def ended(client: httpx.Client) -> dict[str, Any]:
    """The job, when it runs no more."""
    wait_for(lambda: job_of(client)["state"] != "running", seconds=240)
    job = job_of(client)
    print(job["state"], {stage["name"]: stage["seconds"] for stage in job["stages"]}, job["error"])
    return job


def wait_until_it_trains(client: httpx.Client) -> None:
    def trains() -> bool:
        job = job_of(client)
        assert job["state"] == "running", job["error"]
        return any(stage["name"] == "train" and stage["state"] == "running" for stage in job["stages"])

    wait_for(trains, seconds=240)


def learners(cluster: Cluster) -> list[psutil.Process]:
    """The processes that learn on this cluster."""
    found, port = [], cluster.environment["RAY_ADDRESS"].rpartition(":")[2]
    for each in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):  # it ends just now
            learns = "sigflow.pipelines.learn" in (each.info["cmdline"] or [])
            if learns and each.environ().get("RAY_ADDRESS", "").endswith(f":{port}"):
                found.append(each)
    return found


def test_from_nothing_to_a_recogniser(
    server: Serving, client: httpx.Client, folder: Path, sample_videos: Path, tmp_path: Path
) -> None:
    assert client.get("/readyz").json() == {"status": "ready", "models": []}
    assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
    for video in sorted(sample_videos.glob("*/*/*.mp4")):
        subject, label, _ = video.relative_to(sample_videos).parts
        assert record(client, subject, label, video.read_bytes())["warnings"] == []
    clips = client.get("/page/state").json()["clips"]
    assert clips == {subject.name: dict.fromkeys(GESTURES, 2) for subject in SUBJECTS[:4]}

    begin(client, until="audit")
    audited = ended(client)
    assert audited["state"] == "done", audited["error"]
    assert [stage["name"] for stage in audited["stages"]] == ["extract", "audit"]
    force = [found["code"] for found in audited["findings"] if found["severity"] == "error"]
    assert "small_test_fold" in force

    wanted = {"name": "my_signs", "force": force}
    begin(client, **wanted)
    assert client.post("/page/jobs", json=wanted).status_code == 409
    wait_until_it_trains(client)
    (replica,) = server.processes()
    os.kill(replica, signal.SIGKILL)
    wait_for(lambda: server.processes() not in ([], [replica]) and answers(f"{server.url}/readyz"), seconds=120)
    learnt = ended(client)
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

    manifest = folder / "bundles/my_signs" / result["version"] / "manifest.json"
    published = manifest.read_bytes()
    begin(client, **wanted)
    assert ended(client)["result"] == result
    assert manifest.read_bytes() == published, "a version never changes"


def test_a_job_that_was_stopped_or_killed_says_so_and_the_next_one_goes_on(
    cluster: Cluster, client: httpx.Client, folder: Path, sample_videos: Path
) -> None:
    """One person alone; five clips of two gestures."""
    for gesture in GESTURES[:2]:
        for number, video in enumerate(sorted(sample_videos.glob(f"*/{gesture}/*.mp4"))[:5]):
            (folder / "clips/Zoë B." / gesture).mkdir(parents=True, exist_ok=True)
            (folder / "clips/Zoë B." / gesture / f"{number + 1}.mp4").write_bytes(video.read_bytes())
    begin(client)
    refused = ended(client)
    assert refused["state"] == "failed"
    assert "small_test_fold" in refused["error"]
    assert str(folder) not in str(refused)

    wanted = {"force": [found["code"] for found in refused["findings"] if found["severity"] == "error"]}
    begin(client, **wanted)
    wait_until_it_trains(client)
    assert len(learners(cluster)) == 1
    stopped = client.delete("/page/jobs").json()["job"]
    assert (stopped["state"], stopped["error"]) == ("stopped", None)
    assert learners(cluster) == []

    begin(client, **wanted)
    wait_until_it_trains(client)
    assert next(stage for stage in job_of(client)["stages"] if stage["name"] == "extract")["seconds"] < 10
    learners(cluster)[0].kill()
    killed = ended(client)
    assert (killed["state"], "signal 9" in killed["error"]) == ("failed", True)
    assert len(list((folder / "runs").iterdir())) == 1, "it went on with the same run"
