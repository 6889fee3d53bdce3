"""What long jobs are doing, read from what they write anyway: nothing has to run beside them.

A job commits whole files, so its folder says how far it is, whoever asks and from wherever; a folder that no job works
on any more looks alike, but for the time of its last file.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sigflow import bundle, runs
from sigflow.errors import UserError
from sigflow.landmarks.manifest import read_manifest
from sigflow.pipelines.census import census, told
from sigflow.schema import LANDMARKS_DIR, QUARANTINE_DIR
from sigflow.storage import Location, Stored
from sigflow.training import Checkpoint
from sigflow.tuning import Search, best_of, read_trials
from sigflow.tuning.trials import TRIALS

LEARN = "learn.json"
_LATELY_S = 600.0
_READERS = 32  # at once: object storage takes its time for each small file


def status(places: Sequence[Location], *, videos: Location | None = None, cluster: bool = False) -> dict[str, Any]:
    """Print the state of each folder, and of the cluster, on stderr; give it as plain JSON.

    `videos`: what a data set among the folders is extracted from.

    Raises:
        UserError: nothing is asked for, a folder that no job wrote, or a cluster that does not answer.
    """
    if not places and not cluster:
        raise UserError("nothing to look at; give --out DIR, --cluster or both")
    answer: dict[str, Any] = {"folders": []}
    for place in places:
        found = look(place, videos)
        answer["folders"].append({"out": place.uri, **found})
        print(f"{place}: {_line(found)}", file=sys.stderr)
    if cluster:
        answer["cluster"] = census()
        for line in told(answer["cluster"]):
            print(line, file=sys.stderr)
    return answer


def look(place: Location, videos: Location | None = None) -> dict[str, Any]:
    """What stands in one folder, and how far it is.

    Raises:
        UserError: nothing that a job writes.
    """
    if (place / LEARN).exists():
        return _learn(place)
    if (place / "search.json").exists():
        return _search(place)
    if (place / "run.json").exists():
        return _run(place)
    if (place / bundle.MANIFEST).exists():
        manifest = bundle.read_manifest(place)
        return {"kind": "bundle", "name": manifest.name, "version": manifest.version, "created": manifest.created}
    clips, failed = ((place / folder).listing(".parquet") for folder in (LANDMARKS_DIR, QUARANTINE_DIR))
    if not clips and not failed:
        raise UserError(f"{place} holds nothing that a job has finished; give its --out, or wait for its first file")
    return _data(clips, failed, videos)


def _data(clips: Sequence[Stored], failed: Sequence[Stored], videos: Location | None) -> dict[str, Any]:
    """A data set: rows, and how fast they came lately."""
    now_ms = time.time() * 1000
    files = [*clips, *failed]
    with ThreadPoolExecutor(_READERS) as readers:
        counts = list(readers.map(lambda file: _rows(file.location), files))
        reasons = Counter(
            stage for stages in readers.map(lambda file: _stages(file.location), failed) for stage in stages
        )
    lately = sum(rows for file, rows in zip(files, counts, strict=True) if now_ms - file.modified_ms < _LATELY_S * 1000)
    done, of = sum(counts), len(read_manifest(videos)) if videos else None
    rate = lately / _LATELY_S
    return {
        "kind": "landmarks",
        "clips": sum(counts[: len(clips)]),
        "failed": sum(counts[len(clips) :]),
        "failed_by_stage": dict(reasons.most_common()),
        "of": of,
        "clips_per_s": round(rate, 3),
        "left_s": round(max(0, of - done) / rate, 1) if of is not None and rate else None,
        "written_s_ago": _ago(files, now_ms),
    }


def _rows(file: Location) -> int:
    try:
        return file.rows()
    except FileNotFoundError:  # its clips are done again
        return 0


def _stages(file: Location) -> list[str]:
    try:
        return [str(stage) for stage in file.read_parquet(["stage"])["stage"].to_pylist()]
    except FileNotFoundError:
        return []


def _ago(files: Sequence[Stored], now_ms: float) -> float | None:
    """Seconds since the newest was written."""
    return round(max(0.0, now_ms - max(file.modified_ms for file in files)) / 1000, 1) if files else None


def _run(place: Location) -> dict[str, Any]:
    """A run: of each fold whether it is done, or at which epoch it was when it last wrote."""
    run, now_ms = runs.read_run(place), time.time() * 1000
    score = run.recipe.score
    folds: list[dict[str, Any]] = []
    files: list[Stored] = []
    for number in range(run.num_folds):
        here = (place / f"fold_{number}").listing()
        files += here
        if runs.fold_is_done(place, number, run.key):
            summary = runs.read_fold_summary(place, number)
            fold = {"state": "done", "epoch": len(summary["history"]), score: summary["metrics"][score]}
        else:
            keys = [f"{key}/{number}" for key in (run.key, *run.continues)]
            state = Checkpoint(place / f"fold_{number}" / "checkpoint.pt", keys[0], tuple(keys[1:])).load()
            # Before its first checkpoint (20 s) a fold has nothing to show.
            fold = {"state": "waiting"} if state is None else {"state": "begun", **_epoch(state)}
        folds.append({"fold": number, **fold})
    metrics = place / "metrics.json"
    return {
        "kind": "run",
        "recipe": run.recipe.name,
        "finished": metrics.exists(),
        "score": json.loads(metrics.read_bytes())[f"{score}_mean"] if metrics.exists() else None,
        "score_name": score,
        "epochs": run.recipe.train.epochs,
        "folds": folds,
        "written_s_ago": _ago(files, now_ms),
    }


def _epoch(state: dict[str, Any]) -> dict[str, Any]:
    """Where a fold is, from its checkpoint: pretraining has no epochs of the recipe's own."""
    if "descent" not in state:
        return {"epoch": 0}
    last = state["descent"]["history"][-1]
    return {"epoch": last["epoch"], "loss": last["loss"], "stop_loss": last["stop_loss"]}


def _search(place: Location) -> dict[str, Any]:
    """A search: trials that ended, the best of them, and the run that measures it again."""
    try:
        said = json.loads((place / "search.json").read_bytes())
        search = Search.model_validate({name: value for name, value in said.items() if name != "key"})
    except (ValueError, AttributeError) as error:
        raise UserError(f"{place / 'search.json'} is damaged; give the --out of jobs/tune.py") from error
    score = search.recipes[0].score
    trials = read_trials(place)
    best = best_of(trials, score)
    again = None if best is None else place / f"remeasured_{best.number:04d}"
    return {
        "kind": "search",
        "recipes": [recipe.name for recipe in search.recipes],
        "finished": (place / "tuning.json").exists(),
        "trials": len(trials),
        **{state: sum(trial.state == state for trial in trials) for state in ("complete", "stopped", "failed")},
        "score_name": score,
        "best": None if best is None else {"trial": best.number, "score": best.mean, "overrides": best.overrides},
        "remeasured": _run(again) if again is not None and (again / "run.json").exists() else None,
        "written_s_ago": _ago((place / TRIALS).listing(".json"), time.time() * 1000),
    }


def _learn(place: Location) -> dict[str, Any]:
    """What the page's job has written of itself."""
    try:
        said = json.loads((place / LEARN).read_bytes())
        stages = [{"name": str(it["name"]), "state": str(it["state"])} for it in said["stages"]]
        return {"kind": "learn", "state": str(said["state"]), "stages": stages, "error": said.get("error")}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / LEARN} is damaged; start the job again") from error


def _line(found: dict[str, Any]) -> str:
    """One folder for people."""
    ago = found.get("written_s_ago")
    end = "" if ago is None or found.get("finished") else f"; last written {_words(ago)} ago"
    match found["kind"]:
        case "landmarks":
            of = "" if found["of"] is None else f" of {found['of']}"
            stages = ", ".join(f"{stage} {count}" for stage, count in found["failed_by_stage"].items())
            left = "" if found["left_s"] is None else f", {_words(found['left_s'])} left"
            lately = f"; {found['clips_per_s']:.2f} clips/s in the last 10 min{left}" if found["clips_per_s"] else ""
            why = f" ({stages})" if stages else ""
            return (
                f"{found['clips'] + found['failed']}{of} clips done, {found['failed']} of them failed{why}{lately}{end}"
            )
        case "run":
            if found["finished"]:
                return f"run of {found['recipe']}, finished: {found['score_name']} {found['score']:.3f}"
            done = sum(fold["state"] == "done" for fold in found["folds"])
            begun = "".join(
                f"; fold {fold['fold'] + 1} epoch {fold['epoch']}/{found['epochs']}"
                for fold in found["folds"]
                if fold["state"] == "begun"
            )
            return f"run of {found['recipe']}: {done}/{len(found['folds'])} folds done{begun}{end}"
        case "search":
            best = found["best"]
            shown = f", best {best['score']:.4f} (trial {best['trial']})" if best else ""
            counts = f"{found['trials']} trials ended ({found['stopped']} stopped early, {found['failed']} failed)"
            again = f"; measured again: {_line(found['remeasured'])}" if found["remeasured"] else ""
            state = ", finished" if found["finished"] else ""
            return f"search over {', '.join(found['recipes'])}{state}: {counts}{shown}{again}{end}"
        case "learn":
            stages = ", ".join(f"{stage['name']} {stage['state']}" for stage in found["stages"])
            return f"{found['state']}: {stages}" + (f"; {found['error']}" if found["error"] else "")
    return f"bundle {found['name']} {found['version']}, made {found['created']}"


def _words(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
