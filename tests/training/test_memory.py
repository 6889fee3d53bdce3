"""If this fails, a worker that trains many folds in turn needs more memory with each, until it is killed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.training import fit

CLIPS, FRAMES, CHANNELS = 400, 100, 300  # 46 MiB, and as much again as features
RECIPE = override(
    find_recipe("any_sequence"),
    ["train.epochs=1", "train.refit_epochs=0", 'model={"kind": "mlp", "hidden": [8], "dropout": [0.1]}'],
)


def peaks_mib(folds: int) -> list[float]:
    """The most that this process ever had: before the first fold, and after each; they are fitted in turn."""
    torch.set_num_threads(1)
    labels = ["a", "b"]
    table = pa.table({"clip_id": [str(i) for i in range(CLIPS)], "label": labels * (CLIPS // 2),
                      "subject": ["s"] * CLIPS})  # fmt: skip
    clips = Clips(
        table, torch.arange(CLIPS + 1) * FRAMES, (torch.arange(FRAMES) / 25).repeat(CLIPS), torch.ones(CLIPS),
        {"raw": torch.randn(CLIPS * FRAMES, CHANNELS)},
    )  # fmt: skip
    recipe = RECIPE.fitted_to(longest=FRAMES, channels=CHANNELS)
    peaks = [peak_mib()]
    for number in range(folds):
        rows = np.random.default_rng(number).permutation(CLIPS)
        fit(recipe, clips, labels, Fold(number, *(np.sort(part) for part in np.split(rows, [280, 340]))))
        peaks.append(peak_mib())
    return peaks


def peak_mib() -> float:
    """Of this program alone: getrusage begins with what the process that started it had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].removesuffix("kB")) / 1024


def test_six_folds_in_turn_need_no_more_memory_than_three() -> None:
    """Three, because the allocator needs some folds to find its size. A fold itself is seen, so that a leak would be.

    With every fold's features kept the peak grew by a fifth.
    """
    code = f"import json; from {__name__} import peaks_mib; print(json.dumps(peaks_mib(6)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout)
    assert peaks[1] > 1.3 * peaks[0]
    assert peaks[6] < 1.08 * peaks[3], peaks
