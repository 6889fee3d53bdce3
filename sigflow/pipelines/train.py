"""A recipe over all its folds, as one Ray Train run.

The fold mesh: W workers, each its own group, train folds w, w + W, w + 2W, ... in turn. Start-up is paid once, folds
run side by side, and no group waits for another before the end. Folds commit to the run's directory themselves, so a
fold that is done is never trained again, whatever fails later. The clips are put in the object store once, and read
from there by all workers of a node without a copy.
"""

import sys
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ray
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from sigflow import runs
from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, Folds, make_folds
from sigflow.data.targets import chosen_rows, rarest_words, vocabulary, words
from sigflow.errors import UserError
from sigflow.pipelines.job import cluster_cpus, connect, refuse_unshared
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location
from sigflow.topology import RAW
from sigflow.training import build, fit

FEW_CLIPS = 75  # of a class: what the first users' systems aimed at
SMALL_FOLD = 10  # clips: one more right or wrong is ten points
_ONE_DAY_S = 86_400  # groups end at different times, and the last barrier waits for the slowest


def train(
    recipe: Recipe,
    data: Location,
    out: Location,
    *,
    folds_spec: str = "5",
    holdout: Sequence[str] = (),
    workers: int | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train every fold of `recipe` on `data` into the run directory `out`; give its metrics.

    Raises:
        UserError: the data cannot support the folds, or `out` holds something else.
    """
    clips = load_clips(data, recipe.parts)
    recipe = recipe.fitted_to(
        longest=int(clips.offsets.diff().max()), channels=clips.parts[RAW].shape[1] if RAW in clips.parts else None
    )
    sentences = words(clips, sentences=recipe.sentences)
    rows = chosen_rows(sentences, min_clips=recipe.classes.min_clips, top_n=recipe.classes.top_n)
    if left_out := len(clips) - len(rows):
        print(f"train: {left_out} clips of rare labels are left out (recipe.classes)", file=sys.stderr)
        clips, sentences = clips.select(rows), [sentences[row] for row in rows]
    folds = make_folds(
        rarest_words(sentences),
        clips.column("subject"), clips.column("split"),
        spec=folds_spec, holdout=holdout, seed=recipe.train.seed,
    )  # fmt: skip
    held = set(folds.holdout.tolist())
    run = runs.Run(
        recipe=recipe,
        data=data.uri,
        data_fingerprint=clips.fingerprint,
        extractor=str(clips.column("extractor")[0]),
        labels=vocabulary([s for i, s in enumerate(sentences) if i not in held], blank=recipe.sentences),
        num_folds=len(folds.folds),
        folds_spec=folds_spec,
        folds_fingerprint=folds.fingerprint,
        holdout=tuple(holdout),
        subject_independent=folds.subject_independent,
    )
    build(recipe, len(run.labels))  # a model that cannot be made for this data ends the job before anything is written
    runs.start_run(out, run, folds.table([str(clip_id) for clip_id in clips.column("clip_id")]), resume=resume)
    todo = [fold for fold in folds.folds if not runs.fold_is_done(out, fold.number, run.key)]
    if todo:
        connect()
        refuse_unshared(out)
        _train_folds(run, clips, todo, out, workers)
    metrics = runs.finish_run(out, run)
    missed = [
        f"gate missed: {name} is {gate['value']:.3f}, the recipe wants {gate['target']}; do not rely on this model"
        for name, gate in metrics["gates"].items()
        if not gate["passed"]
    ]
    found = [*missed, *doubts(sentences, folds)]
    for line in found:
        print(f"warning: {line}", file=sys.stderr)
    return metrics | {"warnings": found}


def doubts(sentences: Sequence[Sequence[str]], folds: Folds) -> list[str]:
    """What the data cannot show: classes and folds too small to mean much."""
    counts = Counter(name for sentence in sentences for name in sentence)
    few = {label: count for label, count in sorted(counts.items()) if count < FEW_CLIPS}
    found = []
    if few:
        worst = min(few, key=lambda label: few[label])
        found.append(f"{len(few)} of {len(counts)} classes have fewer than {FEW_CLIPS} clips ({worst}: {few[worst]})")
    found += [
        f"fold {fold.number} {role}s on {len(rows)} clips: its figure means little"
        for fold in folds.folds
        for role, rows in (("stop", fold.stop), ("test", fold.test))
        if len(rows) < SMALL_FOLD
    ]
    if not folds.subject_independent:
        found.append("not subject-independent: the same person may be trained on and tested")
    return found


def _train_folds(run: runs.Run, clips: Clips, todo: Sequence[Fold], out: Location, workers: int | None) -> None:
    num_workers = min(workers or cluster_cpus(), len(todo), cluster_cpus())
    arrays = ray.put(clips.arrays())
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(out, run, todo, ended), daemon=True)
    watcher.start()
    try:
        TorchTrainer(
            _worker,
            train_loop_config={"run": run, "clips": arrays, "todo": list(todo), "out": out},
            scaling_config=ScalingConfig(num_workers=num_workers, resources_per_worker={"CPU": 1}),
            torch_config=TorchConfig(backend="gloo", timeout_s=_ONE_DAY_S),
            # A name of its own: Ray would silently resume a run of the same name.
            run_config=RunConfig(
                name=f"sigflow-{uuid.uuid4().hex[:8]}",
                storage_path=(out / "ray").uri,
                failure_config=FailureConfig(max_failures=3),  # of a worker or node; finished folds are not repeated
            ),
        ).fit()
    except SystemExit:  # how Ray Train answers Ctrl-C
        raise KeyboardInterrupt from None
    except ray.train.TrainingFailedError as error:
        causes = [*getattr(error, "worker_failures", {}).values()]
        for cause in causes:
            if isinstance(cause, UserError):
                raise cause from error
        raise
    finally:
        ended.set()
        watcher.join()


def _worker(config: dict[str, Any]) -> None:
    """One group of the mesh. `report` is a barrier of all workers, so each calls it once, at its end."""
    run, out, todo = config["run"], config["out"], config["todo"]
    context = ray.train.get_context()
    torch.set_num_threads(1)  # the CPU that it asked for
    clips = Clips.from_arrays(ray.get(config["clips"]))
    for fold in todo[context.get_world_rank() :: context.get_world_size()]:
        if not runs.fold_is_done(out, fold.number, run.key):
            train_fold(run, clips, fold, out)
    ray.train.report({})


def train_fold(run: runs.Run, clips: Clips, fold: Fold, out: Location) -> None:
    """Fit one fold and commit it."""
    result = fit(run.recipe, clips, run.labels, fold)
    ids, subjects = (clips.table[name].take(fold.test).to_pylist() for name in ("clip_id", "subject"))
    labels = [" ".join(sentence) for sentence in words(clips, sentences=run.recipe.sentences)]
    runs.write_fold(
        out, run.key, fold.number,
        weights=result.weights,
        test=runs.predictions_table(
            ids, fold.number, [labels[i] for i in fold.test], subjects, result.test_probs
        ),
        summary={"best_epoch": result.best_epoch, "metrics": result.metrics, "history": result.history},
    )  # fmt: skip


def _watch(out: Location, run: runs.Run, todo: Sequence[Fold], ended: threading.Event) -> None:
    """Say on stderr when a fold is complete."""
    waiting = {fold.number for fold in todo}
    last = False
    while waiting and not last:
        last = ended.wait(1.0)
        for number in sorted(waiting):
            if runs.fold_is_done(out, number, run.key):
                waiting.discard(number)
                fold = runs.read_fold_summary(out, number)
                score = run.recipe.score
                print(
                    f"train: fold {number + 1}/{run.num_folds} {score} {fold['metrics'][score]:.3f}, "
                    f"epoch {fold['best_epoch']} of {len(fold['history'])}",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
