"""Finished runs to a bundle, measured on the subjects that no run has seen."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sigflow.bundle import (
    CARD,
    GRAPH,
    PRECISIONS,
    Attempt,
    Bundle,
    Decoding,
    Manifest,
    Precision,
    PrecisionName,
    Streaming,
    read_bundle,
    write_bundle,
)
from sigflow.decoding import BLANK
from sigflow.ensemble import Budget, Ensemble, choose, read_pool
from sigflow.environment import environment
from sigflow.errors import UserError
from sigflow.evaluation import frame_probs
from sigflow.export import Exported, export
from sigflow.export.gate import LIMITS, Limits
from sigflow.export.tail import LOG_PROBS
from sigflow.metrics import classification, tempered, transcription
from sigflow.pipelines.material import Material, read_material
from sigflow.pipelines.precisions import all_probs, measured_precisions
from sigflow.pipelines.speed import each_alone, milliseconds, sample_clips
from sigflow.predictor import Predictor
from sigflow.report.bundle_card import bundle_card
from sigflow.runs import read_oof
from sigflow.spotting import fitted
from sigflow.storage import Location


def build_bundle(
    places: Sequence[Location],
    out: Location,
    *,
    name: str | None = None,
    precisions: Sequence[PrecisionName] = PRECISIONS,
    limits: Limits = LIMITS,
    max_members: int | None = None,
    max_ms: float | None = None,
) -> Manifest:
    """Choose among the runs, export the choice, measure the graphs on its holdout, write the bundle.

    `max_ms`: milliseconds a clip, of fp32 in one thread of this machine; each run is exported alone to know its share.

    Raises:
        UserError: the runs do not fit together or into the budget, or the fp32 graph fails a check. Nothing is written
            then.
    """
    pool = read_pool(places)
    if max_ms is None:
        ensemble = choose(pool, Budget(max_members))
        return bundle_exported(ensemble, export(ensemble), out, name=name, precisions=precisions, limits=limits)
    clips = sample_clips(pool)
    ensemble = choose(pool, Budget(max_members, max_ms, each_alone(pool, clips)))
    exported = export(ensemble)
    (taken,) = milliseconds([exported.graph], clips)
    if taken > max_ms:
        print(f"warning: the graph takes {taken:.3g} ms a clip, more than --max-ms {max_ms:g}", file=sys.stderr)
    ensemble = replace(ensemble, choice=ensemble.choice | {"ms": taken})
    return bundle_exported(ensemble, exported, out, name=name, precisions=precisions, limits=limits)


def bundle_exported(
    ensemble: Ensemble,
    exported: Exported,
    out: Location,
    *,
    name: str | None = None,
    precisions: Sequence[PrecisionName] = PRECISIONS,
    limits: Limits = LIMITS,
) -> Manifest:
    """`build_bundle` of an ensemble that is chosen and exported. fp32 is always there."""
    manifest = _described(ensemble, exported, name)
    graphs = {GRAPH: exported.graph}
    lowered = [precision for precision in precisions if precision != "fp32"]
    material = _material(ensemble, needed=bool(lowered))
    if isinstance(material, Material):
        bundle = Bundle(manifest, exported.graph)
        if ensemble.members[0].run.holdout:
            measured = _measured(ensemble, material, Predictor(bundle))
            metrics = manifest.metrics | {"measured_on": "holdout subjects", "holdout": measured}
            manifest = manifest.model_copy(update={"metrics": metrics})
        found, more = measured_precisions(bundle, material, lowered, limits)
        graphs |= more
        gate = {
            "measured_on": material.measured_on,
            "clips": len(material.gate),
            "calibration_clips": len(material.calibration),
            "limits": limits.model_dump(),
        }
    else:
        why = Attempt(method="none", reasons=(f"nothing to measure it on: {material}",))
        found = {precision: Precision(file=None, attempts=(why,)) for precision in lowered}
        gate = {"measured_on": None, "limits": limits.model_dump()}
    fp32 = Attempt(method="torch's numbers", figures={"bytes": len(exported.graph), **exported.parity})
    manifest = manifest.model_copy(
        update={
            "version": _version(manifest, graphs),
            "precisions": {"fp32": Precision(file=GRAPH, attempts=(fp32,))} | found,
            "gate": gate if lowered else {},
        }
    )
    card = bundle_card(manifest, {file: len(data) for file, data in graphs.items()})
    write_bundle(out, manifest, {**graphs, CARD: card.encode()})
    return read_bundle(out).manifest


def _described(ensemble: Ensemble, exported: Exported, name: str | None) -> Manifest:
    """All that is known before anything is measured."""
    run = ensemble.members[0].run
    sentences = run.recipe.sentences
    ctc = Decoding(method="ctc_greedy", blank=BLANK, log_output=LOG_PROBS)
    return Manifest(
        name=name or run.recipe.name,
        version="0",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        task="sentences" if sentences else "classification",
        labels=ensemble.labels,
        parts=exported.parts,
        inputs=exported.inputs,
        outputs=exported.outputs,
        decoding=ctc if sentences else Decoding(),
        temperature=exported.temperature,
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
        provenance={
            "data_fingerprint": run.data_fingerprint,
            "folds": run.folds_spec,
            "folds_fingerprint": run.folds_fingerprint,
            "holdout": list(run.holdout),
            "exported_with": environment(),
            "trained_with": [_trained_with(member.place) for member in ensemble.members],
        },
        metrics={
            "oof": _shown(ensemble.metrics) | {"best_single": ensemble.best_single},
            "choice": ensemble.choice,
            "subject_independent": run.subject_independent,
            "measured_on": "estimated from OOF",
        },
        parity=exported.parity,
        stream=stream_settings(ensemble, exported.parts),
    )


def stream_settings(ensemble: Ensemble, parts: Sequence[str]) -> Streaming:
    """By the training clips' durations, where they are known, and by how sure right out-of-fold answers are."""
    member = ensemble.members[0]
    sentences = member.run.recipe.sentences
    oof = read_oof(member.place)
    known = oof["duration_s"].to_pylist() if "duration_s" in oof.schema.names else []
    durations_s = [duration_s for duration_s in known if duration_s is not None]
    confidences = []
    if not sentences:
        index = {label: k for k, label in enumerate(ensemble.labels)}
        probs_NK = np.stack(frame_probs(ensemble.oof, ensemble.labels, sentences=False))
        true_N = [index[label] for label in ensemble.oof["label"].to_pylist()]
        confidences = probs_NK.max(1)[probs_NK.argmax(1) == true_N].tolist()
    return fitted(ensemble.labels, parts, durations_s, confidences, sentences=sentences)


def _trained_with(place: Location) -> dict[str, Any] | None:
    file = place / "environment.json"
    return json.loads(file.read_bytes()) if file.exists() else None


def _material(ensemble: Ensemble, *, needed: bool) -> Material | str:
    """The clips, or why they cannot be had: where there is no holdout, fp32 can be exported without."""
    if ensemble.members[0].run.holdout:
        return read_material(ensemble)
    if not needed:
        return "not asked for"
    try:
        return read_material(ensemble)
    except UserError as error:
        return str(error)


def _measured(ensemble: Ensemble, material: Material, predictor: Predictor) -> dict[str, Any]:
    """The holdout's figures, through the exported graph."""
    rows = material.unseen
    probs = all_probs(predictor, material.inputs(rows))
    true = [material.true[row] for row in rows]
    subjects = material.clips.column("subject")
    people = [subjects[row] for row in rows]
    if ensemble.members[0].run.recipe.sentences:
        return _shown(transcription(probs, true, ensemble.labels, people))
    probs_NK, true_N = np.array(probs), np.array(true)[:, 0]
    found = _shown(classification(probs_NK, true_N, ensemble.labels, people))
    if ensemble.temperature == 1.0:
        return found
    plain = classification(tempered(probs_NK, 1 / ensemble.temperature), true_N, ensemble.labels, people)
    if plain["ece"] < found["ece"]:
        print(
            f"warning: of the holdout subjects the temperature raises ECE, {plain['ece']:.4f} to {found['ece']:.4f}",
            file=sys.stderr,
        )
    return found | {"before_temperature": {name: plain[name] for name in ("log_loss", "ece")}}


def _shown(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a bundle tells of itself."""
    wanted = (
        "clips", "accuracy", "macro_f1", "wer", "blank_ratio", "ece", "log_loss", "per_class", "per_gloss",
        "per_subject",
    )  # fmt: skip
    return {key: metrics[key] for key in wanted if key in metrics}


def _version(manifest: Manifest, graphs: dict[str, bytes]) -> str:
    """Names the content: the same graphs, labels and settings of streams are the same version, on any machine."""
    digest = hashlib.sha256(repr((manifest.labels, sorted(graphs), manifest.stream)).encode())
    for name in sorted(graphs):
        digest.update(graphs[name])
    return digest.hexdigest()[:12]
