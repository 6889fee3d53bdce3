"""What a run was made with: versions and machine, nothing of its user (no names, paths or variables)."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("sigflow", "torch", "ray", "numpy", "scikit-learn", "pyarrow", "onnxruntime", "mediapipe")


def environment(gpu: str | None = None) -> dict[str, Any]:
    """As plain JSON; nothing is imported for it. `gpu`: its name, which the caller knows from torch."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "gpu": gpu,
        "source": _commit(Path(__file__).parents[1]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit(checkout: Path) -> dict[str, Any] | None:
    """The commit of a git checkout, and whether files were changed since; None: no checkout."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    asked = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    answers = [
        subprocess.run([git, "-C", str(checkout), *words], capture_output=True, text=True, check=False)  # noqa: S603  # own words
        for words in asked
    ]
    if any(answer.returncode for answer in answers):  # of another owner, or damaged
        return None
    return {"commit": answers[0].stdout.strip(), "changed": bool(answers[1].stdout.strip())}
