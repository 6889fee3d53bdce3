"""If this fails, a bundle cannot be used by anyone who has not installed sigflow."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sigflow.bundle import PRECISIONS, PrecisionName, graph_file, read_bundle
from sigflow.predictor import ClipInput, Predictor
from sigflow.storage import Location

ROOT = Path(__file__).parents[2]
# Whatever else is installed here: the ten lines get numpy and onnxruntime, and a failing import of these.
FORBID = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sigflow", "serve", "torch", "onnx", "ray", "pydantic", "pyarrow", "scipy"):
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Forbid())
"""


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_documented_lines_run_on_plain_onnxruntime(
    full_bundle: Location, tmp_path: Path, precision: PrecisionName
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "bundle.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    shutil.copytree(full_bundle.uri, tmp_path / "bundle")
    (tmp_path / "ten.py").write_text(FORBID + code.replace("model.fp32.onnx", graph_file(precision)))
    done = subprocess.run(
        [sys.executable, "-I", "ten.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    label, prob = done.stdout.split()
    predictor = Predictor(read_bundle(full_bundle, precision))
    (expected,) = predictor.predict([ClipInput({}, np.arange(30, dtype=np.float32) / 25, 4 / 3)])
    assert label == predictor.manifest.labels[expected.argmax()]
    assert float(prob) == pytest.approx(float(expected.max()), abs=1e-5)
