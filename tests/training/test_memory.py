"""If these fail, training needs more memory with every fold, or with every clip, until its process is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sigflow.audit import audit, features, make_plan
from sigflow.data import spool
from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.schema import CLIP_FIELDS, LANDMARKS_DIR, encode_frames, per_frame
from sigflow.storage import Location
from sigflow.training import fit, parts
from tests.bench import peaks

CLIPS, FRAMES, CHANNELS = 400, 100, 300  # 46 MiB, and as much again as features
FEW, MANY, SHORT = 2000, 4000, 40  # clips, and frames of each: 92 and 183 MiB; loaded are 256 clips at once, 12 MiB
# glibc keeps freed blocks of up to 32 MiB, now more, now fewer: up to 140 MiB that no one uses. So it gives them back.
RETURNED = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_TRIM_THRESHOLD_": "1000000"}
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


def write_raw(data: Location, clips: int) -> None:
    """As files of 50 clips."""
    raw = pa.field("raw", per_frame(CHANNELS))
    (Path(data.uri) / LANDMARKS_DIR).mkdir(parents=True)
    for first in range(0, clips, 50):
        columns: dict[str, Any] = {field.name: pa.nulls(50, field.type) for field in CLIP_FIELDS}
        columns |= {
            "clip_id": [f"{number:06d}" for number in range(first, first + 50)], "label": ["a", "b"] * 25,
            "subject": [f"s{number // 2 % 6}" for number in range(50)], "num_frames": [SHORT] * 50,
            "width": [4] * 50, "height": [3] * 50, "time_ms": [np.arange(SHORT) * 40.0] * 50,
        }  # fmt: skip
        values = np.random.default_rng(first).random((50, SHORT, CHANNELS), np.float32)
        arrays = [pa.array(columns[field.name], field.type) for field in CLIP_FIELDS]
        table = pa.table([*arrays, encode_frames(list(values), raw)], schema=pa.schema([*CLIP_FIELDS, raw]))
        file = f"{data}/{LANDMARKS_DIR}/{first:06d}.parquet"
        pq.write_table(table, file, compression="none", use_dictionary=False)


def train_mapped(data: Location) -> float:
    """From files to a fold, as if there were no memory; MiB that this process had before, without pages of files."""
    torch.set_num_threads(1)
    spool.MEMORY_SHARE, parts.NUMBERS_AT_ONCE, features.MOST_NUMBERS = 0.0, 2**18, 2**20
    before = peaks.own_memory().anonymous
    peaks.watch()
    plan = make_plan(RECIPE, load_clips(data, ("raw",)), folds_spec="3", holdout=["s5"])
    assert plan.clips.spool is not None
    assert plan.fingerprint
    audit(plan)
    result = fit(plan.recipe, plan.clips, plan.labels, plan.folds.folds[0])
    assert len(result.test_probs) == len(plan.folds.folds[0].test)
    return before


@pytest.mark.slow
def test_a_set_that_is_mapped_needs_no_memory_however_large_it_is(tmp_path: Path) -> None:
    """But the pages of its files, which the system takes back when others need them; and a column of numbers or two."""
    added = {}
    for clips in (FEW, MANY):
        folder = tmp_path / str(clips)
        folder.mkdir()
        data = Location(str(folder / "data"))
        write_raw(data, clips)
        code = f"""
from {__name__} import train_mapped
from sigflow.storage import Location
print(train_mapped(Location({data.uri!r})))
"""
        environment = os.environ | RETURNED | {"SIGFLOW_SPOOL": str(folder / "spools"), peaks.FOLDER: str(folder)}
        root = Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not list((folder / "spools").glob("*/*"))
        (peak,) = peaks.read_peaks(folder).values()
        added[clips] = peak.anonymous - float(done.stdout.splitlines()[-1])
    assert added[MANY] < added[FEW] + 30, added


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
