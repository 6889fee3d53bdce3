"""The README's commands work as they are written, in order, in an empty folder."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, Cluster, answers, free_port, wait_for


@pytest.mark.slow
def test_your_own_videos(cluster: Cluster, sample_videos: Path, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().split("## Your own videos")[1].split("\n## ")[0]
    port = str(free_port())
    steps, curls = (block.replace("8000", port) for block in re.findall(r"```bash\n(.*?)```", section, re.DOTALL))
    for name, target in (("jobs", ROOT / "jobs"), (".venv", Path(sys.prefix))):
        (tmp_path / name).symlink_to(target)
    for subject in ("ada", "bo", "chi"):
        shutil.copytree(sample_videos / subject, tmp_path / "my_clips" / subject)
    *before, serving = steps.strip().splitlines()
    # Six clips a subject are fewer than the README asks for, and rendering that many would take minutes.
    (training,) = (line for line in before if "jobs/train.py" in line)
    refused = cluster.run("bash", "-ec", "\n".join(before[: before.index(training) + 1]), cwd=tmp_path)
    assert refused.returncode == 2
    assert "--force" in refused.stderr.splitlines()[-1]
    forced = refused.stderr.splitlines()[-1].rpartition("--force ")[2]
    before[before.index(training)] = f"{training} --force {forced}"
    done = cluster.run("bash", "-ec", "\n".join(before), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundles/first/manifest.json").exists()
    with (tmp_path / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            ["bash", "-ec", f"source .venv/bin/activate; exec {serving}"],
            cwd=tmp_path, env=cluster.environment, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/readyz"), seconds=90)
        asked = cluster.run("bash", "-ec", curls.replace("curl -s", "curl -sS --fail-with-body -w '\\n'"), cwd=tmp_path)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        model, prediction = (json.loads(line) for line in asked.stdout.splitlines())
        assert model["labels"] == ["open_close", "swipe_in", "victory"]
        assert prediction["predictions"][0]["found"] == 0
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
