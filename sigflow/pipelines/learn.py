"""Videos to a published bundle, as one job: extract, audit, train, ensemble, publish.

Each stage is what the job of that name does, and each goes on from what it finds done: the job may be killed at any
moment and started again. Below its folder lie

    landmarks/     of the videos that are there now; whatever was discarded is gone from it
    runs/<hash>/   of recipe, clips and folds; in it bundle/<name>/
    bundles/       the registry, where no other is given
    learn.json     how far the job is, see `stages`

A serving page starts it as `python -m sigflow.pipelines.learn`, with what it wants as a line of JSON on stdin; the end
of stdin is the end of the job.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray

from sigflow import runs
from sigflow.audit import Plan, stop_on_errors
from sigflow.bundle import Manifest, push, read_bundle
from sigflow.errors import UserError
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.manifest import read_manifest
from sigflow.pipelines import job
from sigflow.pipelines.audit import audit_and_tell, prepare
from sigflow.pipelines.bundle import build_bundle
from sigflow.pipelines.commit import commit_block, read_state, remove_rows
from sigflow.pipelines.extract import MAX_CLIPS_PER_FILE, extract
from sigflow.pipelines.stages import FILE, SAY_EVERY_S, Found, Job, Until, new_job, read_job
from sigflow.pipelines.telling import Telling
from sigflow.pipelines.train import train
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe
from sigflow.schema import LANDMARKS_DIR, models_for
from sigflow.storage import Location, locate

DATA = "landmarks"  # below `out`: the data set
FOLDS = 5
_LEAST_PEOPLE = 3  # train, stop and test each need someone of their own
_STOP_S = 10.0  # of a job that lost its caller


def learn(
    videos: Location,
    out: Location,
    recipe: Recipe,
    *,
    name: str | None = None,
    registry: Location | None = None,
    until: Until = "bundle",
    force: Sequence[str] = (),
    job_id: str | None = None,
) -> Job:
    """Make of `videos` a bundle of `recipe`, and publish it; give the job as its learn.json says it.

    Args:
        videos: folder or manifest, see `read_manifest`.
        out: the folder of all that is made.
        name: of the bundle; default the recipe's.
        registry: where it is published; default `out`/bundles.
        until: "audit": only say what speaks against training.
        force: codes of the audit's errors that are accepted.
        job_id: of a job whose learn.json is there already.

    Raises:
        UserError: bad input, or another job is at work in `out`.
    """
    _refuse_second(out, job_id)
    with Telling(out, new_job(job_id or uuid.uuid4().hex[:12], until)) as telling:
        clip_ids = set(read_manifest(videos)["clip_id"].to_pylist())
        workers = _free_workers() if until == "bundle" else None
        _extract(videos, out, recipe, clip_ids, telling)
        plan = _audit(out, recipe, force, telling)
        if until == "bundle":
            run, name = out / "runs" / _run_name(plan), name or recipe.name
            metrics = _train(run, out, plan, workers, force, telling)
            with telling.stage("ensemble"):
                manifest = _reused(run / "bundle" / name, run) or build_bundle(
                    [run], run / "bundle" / name, name=name, precisions=("fp32",)
                )
            with telling.stage("publish"):
                push(run / "bundle" / name, registry or out / "bundles")
            telling.add(result=_result(manifest, metrics, plan))
    return telling.job


def _extract(videos: Location, out: Location, recipe: Recipe, clip_ids: set[str], telling: Telling) -> None:
    data = out / DATA
    with telling.stage("extract", partial(_extracted, data, clip_ids)):
        _take_in(out / "seen", data)
        state = read_state(data)
        remove_rows(state.filter(pc.invert(pc.is_in(state["clip_id"], pa.array(clip_ids, pa.string())))))
        extract(videos, data, DetectorOptions(models=models_for(recipe.parts)), on_change="replace")


def _audit(out: Location, recipe: Recipe, force: Sequence[str], telling: Telling) -> Plan:
    with telling.stage("audit"):
        data = out / DATA
        plan = prepare(recipe, data, folds_spec=_folds_of(data))
        findings = audit_and_tell(plan)
        found = [Found(code=f.code, severity=f.severity, message=f.evidence, mend=f.mend) for f in findings]
        telling.add(findings=tuple(found))
        if telling.job.until != "audit":
            stop_on_errors(findings, force)
        return plan


def _train(
    run: Location, out: Location, plan: Plan, workers: int | None, force: Sequence[str], telling: Telling
) -> dict[str, Any]:
    with telling.stage("train", partial(_trained, run, len(plan.folds.folds))):
        return train(
            plan.recipe, out / DATA, run,
            folds_spec=plan.folds.spec, workers=workers, resume=True, force=force,
        )  # fmt: skip


def _take_in(seen: Location, data: Location) -> None:
    """Landmarks that were made when the clips were recorded become rows of the data set."""
    files = (seen / LANDMARKS_DIR).files(".parquet")
    for start in range(0, len(files), MAX_CLIPS_PER_FILE):
        some = files[start : start + MAX_CLIPS_PER_FILE]
        rows = pa.concat_tables([file.read_parquet() for file in some], promote_options="default")
        state = read_state(data)
        remove_rows(state.filter(pc.is_in(state["clip_id"], rows["clip_id"].combine_chunks())))
        commit_block(data, rows["clip_id"].to_pylist(), [rows], [])
        for file in some:
            file.delete()


def _folds_of(data: Location) -> str:
    """As many folds by subject as can be; of too few people, folds of clips.

    Raises:
        UserError: too few clips of a label for these.
    """
    files = (data / LANDMARKS_DIR).files(".parquet")
    rows = [row for file in files for row in file.read_parquet(["label", "subject"]).to_pylist()]
    people = {row["subject"] for row in rows}
    if None not in people and len(people) >= _LEAST_PEOPLE:
        return "subject" if len(people) <= FOLDS else str(FOLDS)
    few = sorted((count, str(label)) for label, count in Counter(row["label"] for row in rows).items())
    if few and few[0][0] < FOLDS:
        raise UserError(
            f"'{few[0][1]}' has {few[0][0]} clips, and clips of fewer than {_LEAST_PEOPLE} people are cut into {FOLDS} "
            f"parts; record at least {FOLDS} of each label, or have {_LEAST_PEOPLE} people record"
        )
    return f"random:{FOLDS}"


def _run_name(plan: Plan) -> str:
    """The same recipe, clips and folds: the same run, to go on with."""
    same = (plan.recipe.model_dump_json(), plan.fingerprint, plan.folds.fingerprint)
    return hashlib.sha256(repr(same).encode()).hexdigest()[:12]


def _reused(place: Location, run: Location) -> Manifest | None:
    """The bundle that is there, if it is whole and of this run as it is: exported again it would have another hash."""
    with suppress(UserError):
        manifest = read_bundle(place).manifest
        if manifest.members[0]["key"] == runs.read_run(run).key:
            return manifest
    return None


def _result(manifest: Manifest, metrics: dict[str, Any], plan: Plan) -> dict[str, Any]:
    people = sorted({str(subject) for subject in plan.clips.column("subject") if subject is not None})
    independent = plan.folds.subject_independent
    if independent:
        measured_on = f"{len(people)} people, each in folds that did not learn from them"
    elif len(people) > 1:
        measured_on = f"the same {len(people)} people, in clips not learnt from; expect less of others"
    else:
        measured_on = "the same person, in clips not learnt from; expect less of others"
    return {
        "name": manifest.name, "version": manifest.version, "labels": list(manifest.labels),
        "measured_on": measured_on, "subject_independent": independent,
        "accuracy": metrics["accuracy"], "macro_f1": metrics["macro_f1"],
        "clips": len(plan.clips), "subjects": len(people), "folds": plan.folds.spec,
    }  # fmt: skip


def _extracted(data: Location, clip_ids: set[str]) -> tuple[int, int]:
    return len(clip_ids.intersection(read_state(data)["clip_id"].to_pylist())), len(clip_ids)


def _trained(run: Location, folds: int) -> tuple[int, int]:
    key = runs.read_run(run).key
    return sum(runs.fold_is_done(run, fold, key) for fold in range(folds)), folds


def _free_workers() -> int | None:
    """CPUs that nobody holds, before extraction holds them: Train waits for ever for those that a server keeps."""
    job.connect()
    free = ray.available_resources()
    return None if free.get("GPU") else max(1, int(free.get("CPU", 1)))


def _refuse_second(out: Location, job_id: str | None) -> None:
    """A job that lives changes its learn.json all the time; one that was killed does not, and is gone on with."""
    before = read_job(out)
    if before is None or before.state != "running" or before.id == job_id:
        return
    said, end = (out / FILE).read_bytes(), time.monotonic() + 5 * SAY_EVERY_S
    print("learn: looking whether the job that learn.json tells of is still at work", file=sys.stderr, flush=True)
    while time.monotonic() < end:
        if (out / FILE).read_bytes() != said:
            raise UserError(f"another job is at work in {out}; wait for it, or stop it")
        time.sleep(SAY_EVERY_S / 4)


def _asked(_: argparse.Namespace) -> dict[str, Any]:
    """The job that a line of stdin describes."""
    wanted = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_caller, daemon=True).start()
    videos, out, registry = (locate(wanted.pop(key)) for key in ("videos", "out", "registry"))
    recipe = find_recipe(wanted.pop("recipe"))
    return learn(videos, out, recipe, registry=registry, **wanted).model_dump(mode="json")


def _end_with_caller() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(_STOP_S)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    job.run("Learn as asked on stdin.", lambda parser: None, _asked)
