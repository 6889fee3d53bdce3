"""Extraction's planning of a million clips: seconds, and the most memory that the driver took.

A manifest with a row for each of ROWS files that are there; the job's own code from the manifest to the last count, but
for decoding: workers give back counts of no frames, and commit nothing. First from nothing, then with half of the rows
there, in files as extraction writes them, which is a resume. The driver must stay under LIMIT_MIB, within LIMIT_S:
exit 1 otherwise. An argument is another number of rows. RAY_ADDRESS names a cluster; without it the job starts its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.isolation import Limits
from sigflow.landmarks.manifest import read_manifest
from sigflow.pipelines import extract as job
from sigflow.pipelines.commit import commit_block
from sigflow.pipelines.job import disconnect
from sigflow.pipelines.tally import tally
from sigflow.schema import landmark_schema
from sigflow.storage import Location, locate
from tests.bench import peaks

ROWS, PER_FOLDER, LIMIT_MIB, LIMIT_S = 1_000_000, 1000, 2048, 300
OPTIONS = DetectorOptions()
SCHEMA = landmark_schema(())
ROOT = Path(__file__).parents[2]


class DoNothing:
    """Stage 2 without MediaPipe, or any frame."""

    def __init__(self, out: Location, options: DetectorOptions, limits: Limits) -> None:
        self._extractor = options.fingerprint

    def __call__(self, block: pa.Table) -> pa.Table:
        """The counts of clips that have no frames."""
        return tally([rows(block, self._extractor)], [])


def rows(block: pa.Table, extractor: str) -> pa.Table:
    """What a block's clips would be."""
    count = len(block)
    given = {name: block[name] for name in block.column_names} | {
        "num_frames": pa.array(np.zeros(count, np.int32)),
        "time_ms": pa.array([[]] * count, SCHEMA.field("time_ms").type),
        "extractor": pa.array([extractor] * count),
    }
    columns = [given.get(field.name, pa.nulls(count, field.type)) for field in SCHEMA]
    return pa.table(columns, schema=SCHEMA)


def commit(clips: pa.Table, out: Location) -> None:
    """Rows of no frames, in files as extraction writes them."""
    size = job.MAX_CLIPS_PER_FILE

    def write(start: int) -> None:
        block = clips.slice(start, size)
        commit_block(out, block["clip_id"].to_pylist(), [rows(block, OPTIONS.fingerprint)], [])

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(write, range(0, len(clips), size)))


def make(folder: Path, count: int) -> Path:
    """So many empty files, and a manifest of them."""
    lines = ["path,label,subject"]
    for first in range(0, count, PER_FOLDER):
        place = folder / f"videos/person{first // PER_FOLDER:04d}/day1"
        place.mkdir(parents=True)
        for number in range(first, min(first + PER_FOLDER, count)):
            (place / f"recording-{number:08d}.mp4").touch()
            lines.append(
                f"{place.relative_to(folder)}/recording-{number:08d}.mp4,sign{number % 250},{place.parent.name}"
            )
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines))
    return manifest


def measure(manifest: Path, out: Path) -> dict[str, Any]:
    """The job in a process of its own, which has done nothing else."""
    folder = out.with_suffix(".peaks")
    folder.mkdir()
    os.environ[peaks.FOLDER] = str(folder)
    job.ExtractBlock = DoNothing  # type: ignore[misc,assignment]  # here alone; the product has no such door
    peaks.watch()
    told: dict[str, float] = {}
    for name in ("read_manifest", "_plan", "_run"):
        setattr(job, name, timed(getattr(job, name), name.strip("_"), told))
    began = time.monotonic()
    answer = job.extract(locate(manifest), locate(out), OPTIONS)
    told["all"] = round(time.monotonic() - began, 1)
    disconnect()
    peak = peaks.read_peaks(folder)[os.getpid()]
    return {
        "clips": answer["clips"], "skipped": answer["skipped"], "seconds": told,
        "driver_mib": {"own": round(peak.anonymous), "files": round(peak.files), "store": round(peak.shared)},
    }  # fmt: skip


def timed(call: Any, name: str, told: dict[str, float]) -> Any:
    """The same, noting how long it takes."""

    def run(*arguments: Any) -> Any:
        began = time.monotonic()
        result = call(*arguments)
        told[name] = round(time.monotonic() - began, 1)
        return result

    return run


def alone(manifest: Path, out: Path) -> dict[str, Any]:
    """`measure` in a process of its own."""
    code = (
        f"import json; from pathlib import Path; from {__spec__.name} import measure; "
        f"print(json.dumps(measure(Path({str(manifest)!r}), Path({str(out)!r}))))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{out.name}: {found}", flush=True)
    return found


def main() -> int:
    """All figures as JSON; whether the driver stayed small enough."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    found: dict[str, Any] = {"rows": count}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        manifest = make(folder, count)
        found["from_nothing"] = alone(manifest, folder / "new")
        commit(read_manifest(locate(manifest)).slice(0, count // 2), locate(folder / "half"))
        found["resumed"] = alone(manifest, folder / "half")
    runs = [each for each in found.values() if isinstance(each, dict)]
    most, longest = max(sum(run["driver_mib"].values()) for run in runs), max(run["seconds"]["all"] for run in runs)
    met = most < LIMIT_MIB and longest < LIMIT_S
    print(f"{'met' if met else 'MISSED'}: at most {most} MiB (under {LIMIT_MIB}) and {longest} s (under {LIMIT_S})")
    print(json.dumps(found))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
