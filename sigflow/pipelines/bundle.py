"""Finished runs to a bundle, measured on the subjects that no run has seen."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sigflow.audit import make_plan
from sigflow.bundle import GRAPH, Bundle, Manifest, read_bundle, write_bundle
from sigflow.data.clips import Clips, load_clips
from sigflow.data.targets import words
from sigflow.ensemble import Ensemble, average
from sigflow.errors import UserError
from sigflow.export import export
from sigflow.metrics import classification, transcription
from sigflow.predictor import ClipInput, Predictor
from sigflow.storage import Location, locate


def build_bundle(places: Sequence[Location], out: Location, *, name: str | None = None) -> Manifest:
    """Average the runs, export them, measure the graph on their holdout, write the bundle.

    Raises:
        UserError: the runs do not fit together, or the graph fails a check. Nothing is written then.
    """
    ensemble = average(places)
    exported = export(ensemble)
    run = ensemble.members[0].run
    oof = _shown(ensemble.metrics) | {"best_single": ensemble.best_single}
    manifest = Manifest(
        name=name or run.recipe.name,
        version=_version(exported.graph),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task="sentences" if run.recipe.sentences else "classification",
        labels=ensemble.labels,
        parts=exported.parts,
        inputs=exported.inputs,
        extractor=run.extractor,
        recipes=tuple(member.run.recipe.model_dump(mode="json") for member in ensemble.members),
        members=tuple(
            {
                "run": member.place.name,
                "key": member.run.key,
                "weight": member.weight,
                "folds": member.run.num_folds,
            }
            for member in ensemble.members
        ),
        metrics={
            "oof": oof,
            "subject_independent": run.subject_independent,
            "measured_on": "estimated from OOF",
        },
        parity=exported.parity,
    )
    if run.holdout:
        measured = _holdout_metrics(ensemble, Predictor(Bundle(manifest, exported.graph)))
        metrics = manifest.metrics | {
            "measured_on": "holdout subjects",
            "holdout": _shown(measured),
        }
        manifest = manifest.model_copy(update={"metrics": metrics})
    write_bundle(out, manifest, {GRAPH: exported.graph})
    return read_bundle(out).manifest


def clip_inputs(clips: Clips, rows: Sequence[int]) -> list[ClipInput]:
    """Clips of the table as a client would send them."""
    inputs = []
    for row in rows:
        frames = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
        parts = {part: points[frames].numpy() for part, points in clips.parts.items()}
        inputs.append(ClipInput(parts, clips.time_s_S[frames].numpy(), float(clips.aspect_N[row])))
    return inputs


def _holdout_metrics(ensemble: Ensemble, predictor: Predictor) -> dict[str, Any]:
    run = ensemble.members[0].run
    # As they were trained on: without those that were left out then.
    whole = load_clips(locate(run.data), run.recipe.parts, mixed=True)
    plan = make_plan(run.recipe, whole, folds_spec=run.folds_spec, holdout=run.holdout)
    clips = plan.clips
    if plan.fingerprint != run.data_fingerprint:
        raise UserError(f"{run.data} was changed after {ensemble.members[0].place} was trained; train again on it")
    subjects, sentences = clips.column("subject"), words(clips, sentences=run.recipe.sentences)
    index = {label: k for k, label in enumerate(ensemble.labels)}
    rows = [i for i, subject in enumerate(subjects) if subject in run.holdout and index.keys() >= set(sentences[i])]
    if not rows:
        raise UserError(f"no clip of {', '.join(run.holdout)} has a label that was trained; choose another --holdout")
    probs = [clip for i in range(0, len(rows), 64) for clip in predictor.predict(clip_inputs(clips, rows[i : i + 64]))]
    true = [[index[name] for name in sentences[i]] for i in rows]
    people = [subjects[i] for i in rows]
    if run.recipe.sentences:
        return transcription(probs, true, ensemble.labels, people)
    return classification(np.array(probs), np.array(true)[:, 0], ensemble.labels, people)


def _shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a bundle tells of itself."""
    wanted = ("clips", "accuracy", "macro_f1", "wer", "blank_ratio", "log_loss", "per_class", "per_subject")
    return {key: metrics[key] for key in wanted if key in metrics}


def _version(graph: bytes) -> str:
    """Names the content: the same graph is the same version, on any machine."""
    return hashlib.sha256(graph).hexdigest()[:12]
