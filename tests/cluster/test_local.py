"""If this fails, `make cluster` runs open to everybody or hides what is wrong, or its stop ends somebody else's Ray."""

import os
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
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

    def environment(**more: object) -> dict[str, str]:
        ours = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": token,
        }
        theirs = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_TOKEN"}
        return theirs | {name: str(value) for name, value in (ours | more).items()}

    def local(what: str, state: str = "state", **more: object) -> Done:
        there = {"STATE": tmp_path / state, "PORT": port, "DASHBOARD_PORT": dashboard} | more
        command: list[str | Path] = [CLUSTER / "local.sh", what]
        return subprocess.run(command, cwd=ROOT, env=environment(**there), capture_output=True, text=True, timeout=120)

    def refused(done: Done, expected: str) -> None:
        assert done.returncode == 2, done.stdout + done.stderr
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1

    default_agent = socket.socket()  # held for as long as the test runs, unless another cluster has it
    with suppress(OSError):
        default_agent.bind(("127.0.0.1", 52365))
        default_agent.listen()
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
        submitted = subprocess.run(
            ["ray", "job", "submit", "--address", f"http://127.0.0.1:{dashboard}", "--", "echo", "it", "ran"],
            env=environment(), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert submitted.returncode == 0, submitted.stdout + submitted.stderr
        assert "it ran" in submitted.stdout.splitlines()
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
        default_agent.close()
    assert stopped.returncode == 0
    assert not answers(url, token.read_text())
    assert "no cluster" in local("stop").stdout
    assert other.poll() is None
    other.kill()
    other.wait()
    refused(local("begin"), "start, or stop")
