"""If these fail, somebody without the token runs code on a cluster, reads its jobs, or changes what is served."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, Cluster, wait_for

# Of each of Ray's doors at least one: who may not come in here, must not elsewhere.
DOORS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "/api/version", None),
    ("GET", "/api/jobs/", None),
    ("POST", "/api/jobs/", {"entrypoint": "touch {folder}/broken_in", "submission_id": "broken-in"}),
    ("GET", "/api/jobs/none/logs", None),
    ("POST", "/api/jobs/none/stop", {}),
    ("DELETE", "/api/jobs/none", None),
    ("GET", "/api/packages/gcs/x.zip", None),
    ("PUT", "/api/packages/gcs/_ray_pkg_0123456789abcdef.zip", {}),
    ("GET", "/api/serve/applications/", None),
    ("PUT", "/api/serve/applications/", {"applications": []}),
    ("DELETE", "/api/serve/applications/", None),
    ("GET", "/api/cluster_status", None),
    ("GET", "/nodes?view=summary", None),
    ("GET", "/logical/actors", None),
    ("GET", "/api/v0/tasks", None),
    ("GET", "/api/prometheus/sd", None),
]
# Of each node's agent, to whom the dashboard hands jobs on.
AGENTS_DOORS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("POST", "/api/job_agent/jobs/", {"entrypoint": "touch {folder}/broken_in", "submission_id": "broken-in"}),
    ("GET", "/api/job_agent/jobs/none/logs", None),
    ("POST", "/api/job_agent/jobs/none/stop", {}),
    ("GET", "/logs/dashboard_agent.log", None),
]
CLIENT = """
import sys, ray
ray.init(sys.argv[1])
print(ray.get(ray.remote(lambda: "came in").remote()))
"""


def the_token(cluster: Cluster) -> str:
    return Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_text()


def agent_of(cluster: Cluster) -> str:
    """Of the head: its address and port are what Ray finds, whatever the head's address is said to be."""

    def said() -> str:
        logs = cluster.folder.glob("session_*-*/logs/dashboard_agent.log")
        return "".join(re.findall(r"agent http address: (\S+)", "".join(log.read_text() for log in logs)))

    wait_for(lambda: bool(said()), seconds=120)  # it starts after the dashboard
    return f"http://{said()}"


def asked(cluster: Cluster, method: str, path: str, body: object = None, token: str | None = None, at: str = "") -> int:
    headers = {"content-type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request((at or cluster.dashboard) + path, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("wrong", ["none", "another", "an empty one", "nearly the right one"])
def test_every_door_is_shut_without_the_token(cluster: Cluster, tmp_path: Path, wrong: str) -> None:
    right = the_token(cluster)
    nearly = right[:-1] + ("0" if right[-1] != "0" else "1")
    token = {"none": None, "another": "0" * 64, "an empty one": "", "nearly the right one": nearly}[wrong]
    for at, doors in (("", DOORS), (agent_of(cluster), AGENTS_DOORS)):
        for method, path, body in doors:
            filled = json.loads(json.dumps(body).replace("{folder}", str(tmp_path)))
            assert asked(cluster, method, path, filled, token, at) in (401, 403), f"{method} {path}"
    assert asked(cluster, "GET", "/api/jobs/broken-in", token=right) == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/api/version", "/api/jobs/", "/api/serve/applications/", "/nodes?view=summary"])
def test_the_same_doors_open_with_it(cluster: Cluster, path: str) -> None:
    """Otherwise the test above would pass with a server that refuses everybody."""
    assert ("GET", path, None) in DOORS
    assert asked(cluster, "GET", path, token=the_token(cluster)) == 200


def test_an_agent_answers_who_has_the_token(cluster: Cluster) -> None:
    answer = asked(cluster, "GET", "/api/job_agent/jobs/none/logs", token=the_token(cluster), at=agent_of(cluster))
    assert answer not in (401, 403)


def test_the_probes_need_no_token(cluster: Cluster) -> None:
    """Kubernetes has none to give: of heads the first, of every pod the second."""
    assert asked(cluster, "GET", "/api/gcs_healthz") == 200
    assert asked(cluster, "GET", "/api/healthz", at=agent_of(cluster)) == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}], ids=["another", "none"]
)
def test_a_job_cannot_join_without_the_token(
    cluster: Cluster, gesture_landmarks: object, tmp_path: Path, wrong: dict[str, str]
) -> None:
    """By Ray's own protocol, past the dashboard: one line that says so, and nothing is done."""
    words = (
        "jobs/train.py",
        "--recipe",
        "isolated_gestures",
        "--data",
        str(gesture_landmarks),
        "--out",
        tmp_path / "run",
    )
    refused = cluster.run(sys.executable, *words, "--folds", "2", "--force", "too_many_parameters", cwd=ROOT, **wrong)
    assert refused.returncode == 2, refused.stderr
    assert "cannot join the Ray cluster" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}, None])
def test_rays_client_asks_for_the_token_too(cluster: Cluster, wrong: dict[str, str] | None) -> None:
    """Its own server on the head, which Ray starts unasked."""
    words = (sys.executable, "-c", CLIENT, cluster.client)
    environment = cluster.environment | (wrong or {})
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if wrong is None:  # its own server may lack a port where more clusters run, which is after the door
        assert "came in" in done.stdout or "Starting Ray client server failed" in done.stderr, done.stderr
    else:
        assert "came in" not in done.stdout
        assert "Starting Ray client server" not in done.stderr, "it came past the door"
