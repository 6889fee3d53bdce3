"""Videos to Parquet over a cluster, with Ray Data.

Stages, with their cardinality:
  1. plan      manifest -> clips that are in no table yet -> blocks of clips   (driver; 1 : N blocks)
  2. extract   block -> landmark file and quarantine file, committed by name   (actor pool, 1 CPU each; 1 : 1)
  3. tally     block -> counts                                                 (driver; streams, holds no landmarks)

A MediaPipe process uses about one core, so an actor asks for one CPU. Stage 2 writes its own files, so there is no
second stage to wait for CPUs that the actors hold, and a retried block overwrites its file instead of repeating it.
"""

import hashlib
import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import Extracted, Failed, extract_clip, landmark_table, quarantine_table
from sigflow.landmarks.manifest import read_manifest
from sigflow.pipelines.job import cluster_cpus, connect
from sigflow.pipelines.progress import Progress
from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR
from sigflow.storage import Location

MAX_CLIPS_PER_FILE = 64


@dataclass(frozen=True)
class Summary:
    """What an extraction did. `clips`, `failed`: made by this call; `skipped`: there before it."""

    clips: int
    frames: int
    failed: int
    skipped: int
    found: float  # share of frames in which anything was detected
    seconds: float
    frames_per_s: float
    out: str


def extract(videos: Location, out: Location, options: DetectorOptions) -> Summary:
    """Extract every clip of `videos` that `out` does not hold yet."""
    started = time.monotonic()
    manifest = read_manifest(videos)
    for model in options.models:
        model_path(model)  # a missing model file ends the job here, not on every worker
    todo = _without(manifest, done_clips(out))
    totals: Counter[str] = Counter()
    if len(todo):
        connect()
        totals = _run(todo, out, options)
    seconds = time.monotonic() - started
    return Summary(
        clips=totals["clips"],
        frames=totals["frames"],
        failed=totals["failed"],
        skipped=len(manifest) - len(todo),
        found=totals["found"] / max(totals["frames"], 1),
        seconds=round(seconds, 2),
        frames_per_s=round(totals["frames"] / seconds, 1),
        out=out.uri,
    )


def done_clips(out: Location) -> set[str]:
    """Ids of the clips that are in a committed file, extracted or quarantined."""
    files = [file for folder in (LANDMARKS_DIR, QUARANTINE_DIR) for file in (out / folder).files(".parquet")]
    return {clip_id for file in files for clip_id in file.read_parquet(["clip_id"])["clip_id"].to_pylist()}


def _without(manifest: pa.Table, done: set[str]) -> pa.Table:
    return manifest.filter(pa.array([clip_id not in done for clip_id in manifest["clip_id"].to_pylist()], pa.bool_()))


def _run(todo: pa.Table, out: Location, options: DetectorOptions) -> Counter[str]:
    workers = min(cluster_cpus(), len(todo))
    size = min(MAX_CLIPS_PER_FILE, max(1, math.ceil(len(todo) / (4 * workers))))
    blocks = [todo.slice(start, size).combine_chunks() for start in range(0, len(todo), size)]
    context = DataContext.get_current()
    context.enable_progress_bars = False
    tallies = ray.data.from_arrow(blocks).map_batches(
        ExtractBlock, fn_constructor_args=(out, options), batch_size=None, batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=workers, max_size=workers), num_cpus=1,
    )  # fmt: skip
    totals: Counter[str] = Counter()
    with Progress("extract", len(todo), "clips") as progress:
        for batch in tallies.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in batch.to_pylist():
                totals.update(row)
                rate = totals["frames"] / progress.elapsed_s
                progress.advance(row["clips"] + row["failed"], f"{rate:.0f} frames/s, {totals['failed']} failed")
    return totals


class ExtractBlock:
    """Stage 2: a block of manifest rows in, its files written, one row of counts out."""

    def __init__(self, out: Location, options: DetectorOptions) -> None:
        self._out, self._options = out, options
        self._paths = {model: model_path(model) for model in options.models}

    def __call__(self, block: pa.Table) -> pa.Table:
        """Extract and commit. The name is a hash of the clip ids, so doing it again changes nothing."""
        name = hashlib.sha256("\n".join(block["clip_id"].to_pylist()).encode()).hexdigest()[:20] + ".parquet"
        done: list[Extracted] = []
        failed: list[Failed] = []
        for clip in block.to_pylist():
            match extract_clip(clip, self._options, self._paths):
                case Extracted() as extracted:
                    done.append(extracted)
                case Failed() as failure:
                    failed.append(failure)
        if done:
            (self._out / LANDMARKS_DIR / name).write_parquet(landmark_table(done, self._options))
        if failed:
            (self._out / QUARANTINE_DIR / name).write_parquet(quarantine_table(failed))
        return pa.table(_counts(done, failed))


def _counts(done: list[Extracted], failed: list[Failed]) -> dict[str, Any]:
    frames = sum(clip.num_frames for clip in done)
    found = sum(clip.frames_found for clip in done)
    return {"clips": [len(done)], "failed": [len(failed)], "frames": [frames], "found": [found]}
