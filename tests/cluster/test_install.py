"""If these fail, images cannot be built, or have what they should not, or `ray up` finds no Ray in them."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cluster.files import CLUSTER, ROOT

INSTALL = CLUSTER / "install.sh"
DOCKERFILE = (CLUSTER / "Dockerfile").read_text()


def ran(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, timeout=1500)


@pytest.mark.parametrize("file", [INSTALL, CLUSTER / "local.sh"], ids=lambda file: file.name)
def test_scripts_can_be_read(file: Path) -> None:
    done = ran("bash", "-n", file)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [(), ("all",), ("all", "tpu"), ("packages", "cpus"), ("build", "cpu")])
def test_steps_and_variants_that_are_none_change_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    done = ran("bash", INSTALL, *words, PREFIX=str(tmp_path / "opt"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_login_shells_find_ray(tmp_path: Path) -> None:
    """Debian's profile sets PATH anew, and `ray up` runs all its commands in such shells."""
    (path,) = re.findall(r"ENV PATH=(/opt/sigflow/venv/bin):", DOCKERFILE)
    (line, place) = re.findall(r"^RUN echo ('[^']+') > (\S+)$", DOCKERFILE, re.MULTILINE)[0]
    assert Path(place).parent == Path("/etc/profile.d")
    assert Path(place).suffix == ".sh"
    (tmp_path / ".profile").write_text(shlex.split(line)[0])  # which is read after /etc/profile.d
    asked = ("bash", "--login", "-c", "echo $PATH")
    without, found = (ran(*asked, HOME=home, PATH=f"{path}:/usr/bin:/bin") for home in ("/", str(tmp_path)))
    assert path in found.stdout.strip().split(":")
    if path in without.stdout:
        pytest.skip("the profile of this machine keeps PATH")


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_a_replica_is_installed_without_torch(tmp_path: Path) -> None:
    """The Dockerfile's steps for it, of what it copies and nothing else, into an empty folder."""
    stage = DOCKERFILE.split("AS serve\n")[1].split("FROM ")[0]
    copied = {"cluster/install.sh"}
    for words in map(str.split, stage.splitlines()):
        if words[:1] == ["COPY"]:
            copied.update(words[1:-1])
    app = tmp_path / "app"
    for name in copied:
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, app / name)
    steps = re.findall(r"install\.sh (packages|code|check) serve", stage)
    assert steps == ["packages", "code", "check"]
    for step in steps:
        done = ran("bash", app / "cluster/install.sh", step, "serve", PREFIX=str(tmp_path / "opt"), HOME=str(tmp_path))
        assert done.returncode == 0, f"{step}: {done.stderr[-2000:]}"
    assert "serve: no torch" in done.stdout
    print(done.stdout.splitlines()[-1])
