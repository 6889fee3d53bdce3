"""Whether onnxruntime survives a graph: tried in a process of its own, as a graph can crash it.

The child runs this very file, which is why it imports onnxruntime and numpy alone.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime


def survives(graph: bytes, feeds: Sequence[Mapping[str, np.ndarray]], *, seconds: float = 300.0) -> str | None:
    """Load and run it with each of `feeds`; why it cannot be served, None if it can."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.onnx").write_bytes(graph)
        for number, feed in enumerate(feeds):
            np.savez(Path(folder) / f"{number}.npz", allow_pickle=False, **feed)
        # -P: this file's folder has modules that are named like Python's own.
        command = [sys.executable, "-P", __file__, folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)  # noqa: S603  # own words
        except subprocess.TimeoutExpired:
            return f"onnxruntime did not end within {seconds:.0f} s"
    if done.returncode < 0:
        return f"onnxruntime was killed by signal {-done.returncode}"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        return said[-1].strip()[:300] if said else f"onnxruntime ended with {done.returncode}"
    return None


def _run(folder: Path) -> None:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    for file in sorted(folder.glob("*.npz")):
        with np.load(file) as feed:
            (probs,) = session.run(["probs"], dict(feed))
        if not np.isfinite(probs).all():
            sys.exit("it answers with numbers that are none")


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
