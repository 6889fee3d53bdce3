"""Videos to Parquet over a cluster, with Ray Data.

Stages, with their cardinality:
  1. plan      manifest -> clips that are missing or changed -> blocks of clips   (driver; 1 : N blocks)
  2. extract   block -> landmark file and quarantine file, committed by name      (actor pool, 1 CPU each; 1 : 1)
  3. tally     block -> counts                                                    (driver; streams, holds no landmarks)

A MediaPipe process uses about one core, so an actor asks for one CPU, and keeps off machines whose GPUs are for others
(`placement`); it works in a child process of the actor, which a hostile video may take down. Stage 2 writes its own
files, so there is no second stage to wait for CPUs that the actors hold, and a retried block overwrites its file and
repeats nothing. Clips of a lost block are tried once more, each alone, so that one which kills its worker does not take
its neighbours into quarantine.
"""

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.util.annotations import RayDeprecationWarning

from sigflow.errors import UserError
from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import UNREAD, failure, quarantine_table
from sigflow.landmarks.isolation import IsolatedExtractor, Limits
from sigflow.landmarks.manifest import read_manifest
from sigflow.pipelines import meters
from sigflow.pipelines.commit import commit_block, read_state, remove_rows
from sigflow.pipelines.job import connect, refuse_unshared
from sigflow.pipelines.placement import reach, refuse_impossible
from sigflow.pipelines.preview import check_preview, draw_preview
from sigflow.pipelines.progress import Progress
from sigflow.pipelines.tally import TALLY_SCHEMA, print_by_label, tally, total
from sigflow.schema import QUARANTINE_DIR, QUARANTINE_SCHEMA
from sigflow.storage import READERS, Location

MAX_CLIPS_PER_FILE = 64
_TOGETHER = 256  # tallies of blocks
_SHOWN_FAILURES = 10
_STORAGE_S = 240.0  # longer than a `Location` asks again
_SHOWN_COLUMNS = ["clip_id", "stage", "error"]
OnChange = Literal["refuse", "replace", "keep"]


def extract(
    videos: Location,
    out: Location,
    options: DetectorOptions,
    *,
    limits: Limits | None = None,
    on_change: OnChange = "refuse",
    retry_failed: bool = False,
    preview: int = 0,
    preview_features: Sequence[str] = (),
) -> dict[str, Any]:
    """Extract every clip of `videos` that `out` does not hold, or holds from an older file.

    Args:
        videos: folder or manifest, see `read_manifest`.
        out: the data set.
        options: what to look for.
        limits: what one video may cost.
        on_change: when `out` holds rows made with other options or models: refuse, replace them, or keep them beside.
        retry_failed: try quarantined clips again.
        preview: how many clips to draw into `out`/preview.png.
        preview_features: of `preview.FEATURES`, each drawn over time into `out`/preview_<kind>.png.

    Returns:
        Counts of this call: clips, frames, failed, skipped (done, or failed before), quarantined (how many of all the
        clips are, now), found (share of frames with a detection), hands (share with a hand), repaired (hands given
        another side than MediaPipe's), seconds, frames_per_s, out.

    Raises:
        UserError: bad input; nothing was changed then.
    """
    started = time.monotonic()
    check_preview(preview, preview_features, options.models)
    manifest = read_manifest(videos)
    for model in options.models:
        model_path(model)  # a missing model file ends the job here, not on every worker
    todo, outdated = _plan(manifest, out, options, on_change, retry_failed)
    asked = manifest.select(["clip_id"])
    skipped = len(manifest) - len(todo)
    del manifest  # of millions of clips each table counts, and the job runs for hours
    pa.default_memory_pool().release_unused()
    tallies = TALLY_SCHEMA.empty_table()
    if len(todo):
        connect()
        refuse_unshared(out)
        refuse_impossible(reach(), {"CPU": 1}, 1, "extraction")
        meters.count("extract_clips_total", skipped, state="skipped")
        remove_rows(outdated)  # not before everything that could still refuse
        tallies = _run(todo, out, options, _with_patience(limits or Limits(), todo))
        print_by_label(tallies)
    failures = _quarantine(out)
    _print_failures(failures.filter(_among(failures, todo)), out)
    if preview:
        draw_preview(out, preview, preview_features)
    seconds = time.monotonic() - started
    counts = total(tallies)
    return counts | {
        "skipped": skipped,
        "quarantined": pc.sum(_among(failures, asked)).as_py() or 0,
        "found": round(counts["found"] / max(counts["frames"], 1), 4),
        "hands": round(counts["hands"] / max(counts["frames"], 1), 4),
        "seconds": round(seconds, 2),
        "frames_per_s": round(counts["frames"] / seconds, 1),
        "out": out.uri,
    }


def _with_patience(limits: Limits, todo: pa.Table) -> Limits:
    """Where videos lie in object storage, no new frame comes for as long as that is asked again."""
    if not pc.any(pc.match_substring(todo["source"], "://")).as_py():
        return limits
    return limits.model_copy(update={"stalled_s": max(limits.stalled_s, _STORAGE_S)})


def _quarantine(out: Location) -> pa.Table:
    """All quarantine rows: clip_id, stage, error."""
    empty = QUARANTINE_SCHEMA.empty_table().select(_SHOWN_COLUMNS)
    with ThreadPoolExecutor(READERS) as readers:
        files = (out / QUARANTINE_DIR).files(".parquet")
        return pa.concat_tables([empty, *readers.map(lambda file: file.read_parquet(_SHOWN_COLUMNS), files)])


def _among(rows: pa.Table, clips: pa.Table) -> pa.ChunkedArray:
    """Whether each of `rows` is of one of these clips."""
    return pc.is_in(rows["clip_id"], clips["clip_id"].combine_chunks())


def _print_failures(failed: pa.Table, out: Location) -> None:
    """What went to quarantine, by name and reason, as far as a screen holds it."""
    for row in failed.slice(0, _SHOWN_FAILURES).to_pylist():
        print(f"quarantined {row['clip_id']}: {row['stage']}: {row['error']}", file=sys.stderr)
    if len(failed) > _SHOWN_FAILURES:
        print(f"... and {len(failed) - _SHOWN_FAILURES} more, in {out / QUARANTINE_DIR}", file=sys.stderr)


def _plan(
    manifest: pa.Table, out: Location, options: DetectorOptions, on_change: OnChange, retry_failed: bool
) -> tuple[pa.Table, pa.Table]:
    """Stage 1: the manifest's rows that are to be done, and the rows of `read_state` that they replace."""
    state = read_state(out)
    made_by = state["extractor"].combine_chunks()
    foreign = pc.not_equal(made_by.dictionary, options.fingerprint).take(made_by.indices)
    if on_change == "refuse" and pc.any(foreign).as_py():
        raise UserError(
            f"{out} holds {pc.sum(foreign).as_py()} clips made with other options or models; choose another --out, "
            "or --on-change replace (do them again) or keep (leave them as they are)"
        )
    index = pc.index_in(state["clip_id"], manifest["clip_id"].combine_chunks())  # each stored clip's manifest row
    known = pc.is_valid(index)
    now = {name: pc.take(manifest[name], index) for name in ("source_bytes", "source_modified_ms")}
    # A source that could not be found then and can be now has changed; one whose size cannot be told now has not.
    differs = [
        pc.or_(
            pc.fill_null(pc.not_equal(state[name], now[name]), False),
            pc.and_(pc.is_null(state[name]), pc.is_valid(now[name])),
        )
        for name in now
    ]
    again = pc.or_(*differs)
    if on_change == "replace":
        again = pc.or_(again, foreign)
    if retry_failed:
        again = pc.or_(again, state["failed"])
    again = pc.and_(known, again)
    return manifest.filter(pc.invert(_among(manifest, state.filter(pc.invert(again))))), state.filter(again)


def _run(todo: pa.Table, out: Location, options: DetectorOptions, limits: Limits) -> pa.Table:
    """Stages 2 and 3; once more, clip by clip, for what was lost with a worker or a node; then that is quarantined."""
    workers = min(reach().without_gpus().places({"CPU": 1}), len(todo))
    size = min(MAX_CLIPS_PER_FILE, max(1, math.ceil(len(todo) / (4 * workers))))
    with Progress("extract", len(todo), "clips") as progress:
        parts = [_extract_blocks(todo, size, out, options, limits, progress)]
        if len(lost := _lost(todo, out, parts)):
            parts.append(_extract_blocks(lost, 1, out, options, limits, progress))
        if len(lost := _lost(lost, out, parts)):
            clips = lost.to_pylist()
            rows = [failure(clip, options, "worker_died", "its worker was lost every time") for clip in clips]
            commit_block(out, [clip["clip_id"] for clip in clips], [], [quarantine_table(rows)])
            parts.append(tally([], [quarantine_table(rows)]))
            progress.advance(len(clips), f"{len(clips)} lost with their workers")
            meters.count("extract_clips_total", len(clips), state="failed")
    return pa.concat_tables(parts)


def _extract_blocks(
    todo: pa.Table, size: int, out: Location, options: DetectorOptions, limits: Limits, progress: Progress
) -> pa.Table:
    there = reach()
    where = there.without_gpus()
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its plans and its advice; what fails is raised
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # blocks that were lost are found by their clips, which are in no table then
    with warnings.catch_warnings():
        # The bounds below have no other door yet; by default a block that kills its worker is retried for ever.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        # Copied to the object store, and not kept here; from_arrow would start a task for each, on any machine.
        blocks = ray.data.from_blocks(list(_blocks(todo, size)))
        pa.default_memory_pool().release_unused()
        # As many actors as there are CPUs. An autoscaler brings what they wait for: where it is known what that can be,
        # all of it is asked for at once, and no more; elsewhere CPUs may come later that nobody knows of.
        count = blocks.num_blocks()
        known = min(where.places({"CPU": 1}), count)
        pool = ActorPoolStrategy(min_size=1, initial_size=known, max_size=known if there.kinds else count)
        tallies = blocks.map_batches(
            ExtractBlock, fn_constructor_args=(out, options, limits), batch_size=None, batch_format="pyarrow",
            compute=pool, num_cpus=1, max_restarts=1, max_task_retries=1, label_selector=there.selector(where),
        )  # fmt: skip
    parts: list[pa.Table] = [TALLY_SCHEMA.empty_table()]
    fresh: list[pa.Table] = []
    frames = failed = 0
    for part in tallies.iter_batches(batch_size=None, batch_format="pyarrow"):
        fresh.append(part)
        if len(fresh) == _TOGETHER:  # each is small, and holds on to its place in the object store
            parts.append(pa.concat_tables(fresh).combine_chunks())
            fresh.clear()
        counts = total(part)
        frames, failed = frames + counts["frames"], failed + counts["failed"]
        words = f"{frames / progress.elapsed_s:.0f} frames/s, {failed} failed"
        progress.advance(counts["clips"] + counts["failed"], words)
        meters.count("extract_clips_total", counts["clips"], state="done")
        meters.count("extract_clips_total", counts["failed"], state="failed")
        meters.count("extract_frames_total", counts["frames"])
        meters.say("extract_clips_left", progress.left)
    return pa.concat_tables([*parts, *fresh])


def _blocks(todo: pa.Table, size: int) -> Iterator[pa.Table]:
    """`size` clips each, more where a source has more: its segments are read in one pass."""
    ordered = todo.sort_by([("source", "ascending"), ("clip_id", "ascending")]).combine_chunks()
    sources = ordered["source"]
    differs = pc.not_equal(sources.slice(1), sources.slice(0, len(ordered) - 1)).to_numpy()
    cuts = np.append(np.flatnonzero(differs) + 1, len(ordered))  # between two sources
    start = 0
    while start < len(ordered):
        cut = min(int(np.searchsorted(cuts, start + size)), len(cuts) - 1)
        end = start + 1 if size == 1 else int(cuts[cut])
        yield ordered.slice(start, end - start)
        start = end


def _lost(todo: pa.Table, out: Location, parts: Sequence[pa.Table]) -> pa.Table:
    """Clips that ended in neither table: their worker, or its node, was lost. `parts`: tallies that came back."""
    told = pa.concat_tables([TALLY_SCHEMA.empty_table(), *parts])
    unheard = todo.filter(pc.invert(_among(todo, told)))
    # All files are read only where something is amiss; a block may have been committed and its tally lost.
    return unheard.filter(pc.invert(_among(unheard, read_state(out)))) if len(unheard) else unheard


class ExtractBlock:
    """Stage 2: a block of manifest rows in, its files written, one row of counts out."""

    def __init__(self, out: Location, options: DetectorOptions, limits: Limits) -> None:
        self._out = out
        paths = {model: model_path(model) for model in options.models}
        self._extractor = IsolatedExtractor(options, paths, limits)

    def __call__(self, block: pa.Table) -> pa.Table:
        """Extract and commit; doing it again changes nothing.

        Raises:
            OSError: storage did not give a clip. That is no reason for quarantine: the block is as good as lost.
        """
        clips: list[pa.Table] = []
        failed: list[pa.Table] = []
        for _, rows in groupby(block.to_pylist(), key=lambda clip: clip["source"]):
            for kind, table in self._extractor.extract(list(rows)):
                if kind == "quarantine" and table["stage"][0].as_py() == UNREAD:
                    raise OSError(table["error"][0].as_py())
                (clips if kind == "clip" else failed).append(table)
        commit_block(self._out, block["clip_id"].to_pylist(), clips, failed)
        return tally(clips, failed)
