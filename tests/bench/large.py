"""Training on a set that is mapped from disk against one that is in memory: the same figures, and how much memory.

Made-up clips of two hands, 300 frames each. In turn: the smaller set in memory, the same one mapped, the larger set
mapped; two workers on a Ray of their own each time. A mapped set must give the figures of one in memory to the last
digit, a prediction for every clip, and twice as much of it must need at most GROWTH more memory of any process's own;
exit 1 otherwise. So that features do not fit either, 64 MiB of them may be kept instead of 1 GiB.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sigflow import runs
from sigflow.audit import known_codes
from sigflow.data import spool
from sigflow.pipelines.job import disconnect
from sigflow.pipelines.train import train
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.schema import LANDMARKS_DIR, encode_frames, landmark_schema
from sigflow.storage import locate
from tests.bench import peaks

FRAMES, FOLDS, PER_FILE = 300, "4", 100
SETTINGS = ["train.epochs=2", "train.patience=2"]
LANDMARKS = ("left_hand", "right_hand")
GIB = (0.75, 1.5)
GROWTH = 1.1
ROOT = Path(__file__).parents[2]


def make(place: Path, gib: float) -> int:
    """So much in memory, as files of PER_FILE clips; how many clips it is."""
    schema = landmark_schema(LANDMARKS)
    count = int(gib * 2**30 / (FRAMES * 4 * (1 + 126)))
    rng = np.random.default_rng(0)
    shapes = rng.normal(0.5, 0.1, (6, 2, 63)).astype(np.float32)
    share = np.linspace(0, 1, FRAMES, dtype=np.float32)[:, None]
    (place / LANDMARKS_DIR).mkdir(parents=True)
    for first in range(0, count, PER_FILE):
        numbers = range(first, min(first + PER_FILE, count))
        columns: dict[str, list[Any]] = {field.name: [None] * len(numbers) for field in schema}
        hands: dict[str, list[Any]] = {part: [] for part in LANDMARKS}
        for number in numbers:
            begin, end = shapes[number % 6]
            moved = begin + share * (end - begin) + rng.random((FRAMES, 63), np.float32) / 8
            hands["right_hand"].append(moved + rng.random(63, np.float32) / 16)
            hands["left_hand"].append(np.full((FRAMES, 63), np.nan, np.float32) if number % 2 else 1 - moved)
        columns |= {
            "clip_id": [f"{number * 7919 % count:06d}-{number}" for number in numbers],  # files are in no order
            "label": [f"sign{number % 6}" for number in numbers],
            "subject": [f"person{number // 6 % 12}" for number in numbers],
            "num_frames": [FRAMES] * len(numbers), "width": [640] * len(numbers), "height": [480] * len(numbers),
            "fps": [30.0] * len(numbers), "extractor": ["made up"] * len(numbers),
            "time_ms": [np.arange(FRAMES) * 1000 / 30] * len(numbers), **hands,
        }  # fmt: skip
        arrays = [
            encode_frames(columns[field.name], field) if isinstance(columns[field.name][0], np.ndarray)
            else pa.array(columns[field.name], field.type)
            for field in schema
        ]  # fmt: skip
        table = pa.table(arrays, schema=schema)
        pq.write_table(table, place / LANDMARKS_DIR / f"{first:06d}.parquet", compression="zstd", compression_level=1)
    return count


def measure(data: Path, out: Path, count: int, *, mapped: bool) -> dict[str, Any]:
    """A run in this process, which does nothing else."""
    peaks.watch()
    spool.MEMORY_SHARE = 0.0 if mapped else 1.0
    recipe = override(find_recipe("isolated_gestures"), SETTINGS)
    began = time.monotonic()
    # Whatever the audit finds in made-up clips.
    metrics = train(recipe, locate(data), locate(out), folds_spec=FOLDS, workers=2, force=known_codes())
    seconds = time.monotonic() - began
    disconnect()
    tested = runs.read_oof(locate(out))["clip_id"].to_pylist()
    assert len(tested) == len(set(tested)) == count, "a clip was lost"
    every = peaks.read_peaks(Path(os.environ[peaks.FOLDER]))
    driver = every.pop(os.getpid())
    workers = list(every.values())
    return {
        "clips": count, "seconds": round(seconds, 1),
        "figures": {name: metrics[name] for name in ("macro_f1", "log_loss")},
        "own_mib": {"driver": round(driver.anonymous), "workers": [round(peak.anonymous) for peak in workers]},
        "files_mib": [round(peak.files) for peak in workers], "store_mib": [round(peak.shared) for peak in workers],
    }  # fmt: skip


def alone(folder: Path, name: str, data: Path, count: int, *, mapped: bool) -> dict[str, Any]:
    """`measure` in a process of its own; its spools must be gone then."""
    own, spools = folder / name, folder / f"{name}-spools"
    (own / "peaks").mkdir(parents=True)
    job = {"runtime_env": {"worker_process_setup_hook": "tests.bench.peaks.install",
                           "env_vars": {"PYTHONPATH": str(ROOT)}}}  # fmt: skip
    environment = os.environ | {
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job), "SIGFLOW_SPOOL": str(spools),
        peaks.FOLDER: str(own / "peaks"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    code = (
        f"import json; from pathlib import Path; from {__spec__.name} import measure; "
        f"print(json.dumps(measure(Path({str(data)!r}), Path({str(own / 'run')!r}), {count}, mapped={mapped})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    assert not list(spools.glob("*/*")), "a spool was left"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {found}", flush=True)
    return found


def main() -> int:
    """All figures as JSON; whether the targets are met."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = {}
        for gib, ways in zip(GIB, (("memory", "mapped"), ("mapped",)), strict=True):
            count = make(folder / "data", gib)
            for way in ways:
                name = f"{gib}-{way}"
                found[name] = alone(folder, name, folder / "data", count, mapped=way == "mapped")
            shutil.rmtree(folder / "data")
    memory, mapped, larger = found.values()
    growth = max(
        larger["own_mib"]["driver"] / mapped["own_mib"]["driver"],
        max(larger["own_mib"]["workers"]) / max(mapped["own_mib"]["workers"]),
    )
    met = {"a mapped set gives the figures of one in memory": memory["figures"] == mapped["figures"],
           f"twice as much needs {growth:.2f} x the memory, at most {GROWTH}": growth <= GROWTH}  # fmt: skip
    for words, passed in met.items():
        print(f"{'met' if passed else 'MISSED'}: {words}", flush=True)
    print(json.dumps({"frames": FRAMES, "growth": round(growth, 2), **found}))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
