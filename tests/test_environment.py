"""If these fail, nobody can tell what a run was made with, or a run tells who made it."""

import getpass
import json
import os
import subprocess
from pathlib import Path

import numpy as np

from sigflow import environment as module
from sigflow.environment import environment


def test_versions_and_machine_are_known_as_plain_json() -> None:
    found = environment("NVIDIA H200")
    assert json.loads(json.dumps(found)) == found
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["torch"]
    assert (found["cpus"], found["gpu"]) == (os.cpu_count(), "NVIDIA H200")


def test_nothing_of_the_user_is_told() -> None:
    text = json.dumps(environment())
    assert str(Path(module.__file__).parents[1]) not in text
    assert str(Path.home()) not in text
    assert os.uname().nodename not in text
    assert getpass.getuser() not in json.dumps(environment()["packages"])


def test_a_checkout_has_a_commit_and_says_whether_files_were_changed(tmp_path: Path) -> None:
    assert module._commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "a.py").write_text("1")
    for words in (["init", "-q"], ["add", "a.py"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    clean = module._commit(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert not clean["changed"]
    (tmp_path / "a.py").write_text("2")
    assert module._commit(tmp_path) == {"commit": clean["commit"], "changed": True}
