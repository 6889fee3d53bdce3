"""If these fail, somebody without the token runs code on a cluster, reads its jobs, or changes what is served."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, Cluster

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


def asked(cluster: Cluster, method: str, path: str, body: object = None, token: str | None = None) -> int:
    headers = {"content-type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cluster.dashboard + path, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("wrong", [None, "0" * 64, ""], ids=["no token", "another token", "an empty token"])
def test_every_door_is_shut_without_the_token(cluster: Cluster, tmp_path: Path, wrong: str | None) -> None:
    for method, path, body in DOORS:
        filled = json.loads(json.dumps(body).replace("{folder}", str(tmp_path)))
        assert asked(cluster, method, path, filled, wrong) in (401, 403), f"{method} {path}"
    token = Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    assert asked(cluster, "GET", "/api/jobs/broken-in", token=token) == 404
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/api/version", "/api/jobs/", "/api/serve/applications/", "/nodes?view=summary"])
def test_the_same_doors_open_with_it(cluster: Cluster, path: str) -> None:
    """Otherwise the test above would pass with a server that refuses everybody."""
    assert ("GET", path, None) in DOORS
    token = Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    assert asked(cluster, "GET", path, token=token) == 200


def test_the_probe_of_heads_needs_no_token(cluster: Cluster) -> None:
    """Kubernetes has none to give."""
    assert asked(cluster, "GET", "/api/gcs_healthz") == 200


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
