"""If this fails, `make cluster` runs open to everybody or hides what is wrong, or its stop ends somebody else's Ray."""

import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.files import CLUSTER, ROOT
from tests.integration.conftest import answers, free_port

Done = subprocess.CompletedProcess[str]


@pytest.mark.slow
def test_a_local_cluster_has_a_token_says_what_is_wrong_and_ends_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(16))
    port, dashboard = free_port(), free_port()

    def local(what: str, state: str = "state", **more: object) -> Done:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "STATE": str(tmp_path / state),
            "RAY_AUTH_TOKEN_PATH": str(token),
            **{name: str(value) for name, value in ({"PORT": port, "DASHBOARD_PORT": dashboard} | more).items()},
        }
        environment.pop("RAY_AUTH_TOKEN", None)
        return subprocess.run(
            [CLUSTER / "local.sh", what], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )

    def refused(done: Done, expected: str) -> None:
        assert done.returncode == 2, done.stdout + done.stderr
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1

    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(999)", "ray start --head"])
    try:
        started = local("start")
        assert started.returncode == 0, started.stdout + started.stderr
        assert f"--address http://127.0.0.1:{dashboard}" in started.stdout
        assert token.read_text() not in started.stdout + started.stderr
        url = f"http://127.0.0.1:{dashboard}/api/version"
        assert answers(url, token.read_text())
        with pytest.raises(urllib.error.HTTPError, match=r"40[13]"):
            urllib.request.urlopen(url, timeout=10)
        refused(local("start"), "make cluster-stop ends it")
        refused(local("start", "second", DASHBOARD_PORT=free_port()), f"port {port} is taken; make cluster PORT=...")
        refused(
            local("start", "second", PORT=free_port()), f"port {dashboard} is taken; make cluster DASHBOARD_PORT=..."
        )
        refused(
            local("start", "third", PORT=free_port(), DASHBOARD_PORT=free_port(), RAY_AUTH_TOKEN_PATH="/none"), "token"
        )
        assert answers(url, token.read_text())
    finally:
        stopped = local("stop")
    assert stopped.returncode == 0
    assert not answers(url, token.read_text())
    assert "no cluster" in local("stop").stdout
    assert other.poll() is None
    other.kill()
    other.wait()
    refused(local("begin"), "start, or stop")
