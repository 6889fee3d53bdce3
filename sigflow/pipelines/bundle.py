"""Finished runs to a bundle, measured on the subjects that no run has seen."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

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
from sigflow.ensemble import Budget, Ensemble, Member, choose, read_pool
from sigflow.ensemble.refits import read_refit
from sigflow.environment import environment
from sigflow.errors import UserError
from sigflow.evaluation import frame_probs
from sigflow.export import Exported, export
from sigflow.export.gate import LIMITS, Limits
from sigflow.export.tail import LOG_PROBS
from sigflow.features.inputs import Inputs
from sigflow.pipelines.holdout import judged, measured, shown
from sigflow.pipelines.material import Material, read_material
from sigflow.pipelines.precisions import measured_precisions
from sigflow.pipelines.refit import refitted, refuse_refit
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
    refit: bool = False,
) -> Manifest:
    """Choose among the runs, export the choice, measure the graphs on its holdout, write the bundle.

    `max_ms`: milliseconds a clip, of fp32 in one thread of this machine; each run is exported alone to know its share.
    `refit`: train each member once more on all clips but the holdout's, and export these models if they hold up there.

    Raises:
        UserError: the runs do not fit together or into the budget, `refit` has no holdout to judge by, or the fp32
            graph fails a check. Nothing is written then but refits that are done.
    """
    pool = read_pool(places)
    if refit:
        refuse_refit(pool)
    clips = sample_clips(pool) if refit or max_ms is not None else []
    ensemble = choose(pool, Budget(max_members, max_ms, each_alone(pool, clips) if max_ms is not None else ()))
    rival = Rival(ensemble, export(ensemble))
    material = read_material(ensemble) if refit else None
    judgement: dict[str, Any] = {}
    if material is not None:
        rival, judgement = better(rival, material, clips, out)
    if max_ms is not None:
        (taken,) = milliseconds([rival.exported.graph], clips)
        if taken > max_ms:
            print(f"warning: the graph takes {taken:.3g} ms a clip, more than --max-ms {max_ms:g}", file=sys.stderr)
        rival = rival._replace(ensemble=replace(rival.ensemble, choice=rival.ensemble.choice | {"ms": taken}))
    return bundle_exported(
        rival.ensemble, rival.exported, out,
        name=name, precisions=precisions, limits=limits, material=material, judgement=judgement,
    )  # fmt: skip


class Rival(NamedTuple):
    """An ensemble with its graph."""

    ensemble: Ensemble
    exported: Exported

    @property
    def predictor(self) -> Predictor:
        """It, ready to answer."""
        return Predictor(Bundle(_described(self.ensemble, self.exported, None), self.exported.graph))


def better(folds: Rival, material: Material, clips: Sequence[Inputs], out: Location) -> tuple[Rival, dict[str, Any]]:
    """Whichever of the fold models and those trained on all clips is to be exported, and how they were judged.

    `clips`: to time both with. What is trained lies below `out`, and is not trained again.
    """
    found = refitted(folds.ensemble, material, out)
    if isinstance(found, str):
        print(f"warning: the fold models are exported, not refitted ones: {found}", file=sys.stderr)
        return folds, {"exported": False, "reason": found}
    refit = Rival(found, export(found))
    judgement = judged(found, material, folds.predictor, refit.predictor)
    score, both = judgement["score"], ("folds", "refitted")
    taken = milliseconds([rival.exported.graph for rival in (folds, refit)], clips)
    for name, rival, ms in zip(both, (folds, refit), taken, strict=True):
        models = sum(member.num_models for member in rival.ensemble.members)
        judgement[name] |= {"models": models, "ms": ms, "bytes": len(rival.exported.graph)}
    told = "; ".join(
        f"{name}: {score} {its[score]:.4f}, {its['ms']:.3g} ms a clip, {its['bytes']:,} bytes"
        for name, its in ((name, judgement[name]) for name in both)
    )
    print(f"refit: on {judgement['clips']} clips of the holdout, {told}", file=sys.stderr)
    if judgement["exported"]:
        return refit, judgement
    reason = f"{score} {judgement['difference']:+.4f} on the holdout, and the margin is {judgement['margin']:g}"
    print(f"warning: the fold models are exported, not the refitted ones: {reason}", file=sys.stderr)
    return folds, judgement | {"reason": reason}


def bundle_exported(
    ensemble: Ensemble,
    exported: Exported,
    out: Location,
    *,
    name: str | None = None,
    precisions: Sequence[PrecisionName] = PRECISIONS,
    limits: Limits = LIMITS,
    material: Material | None = None,
    judgement: Mapping[str, Any] = MappingProxyType({}),
) -> Manifest:
    """`build_bundle` of an ensemble that is chosen and exported. fp32 is always there.

    `material`: of `read_material`, where it was read already. `judgement`: how a refit was judged, if there was one.
    """
    manifest = _described(ensemble, exported, name)
    if judgement:
        manifest = manifest.model_copy(update={"metrics": manifest.metrics | {"refit": dict(judgement)}})
    graphs = {GRAPH: exported.graph}
    lowered = [precision for precision in precisions if precision != "fp32"]
    known = material or _material(ensemble, needed=bool(lowered))
    if isinstance(known, Material):
        bundle = Bundle(manifest, exported.graph)
        if ensemble.members[0].run.holdout:
            figures = measured(ensemble, known, Predictor(bundle))
            metrics = manifest.metrics | {"measured_on": "holdout subjects", "holdout": figures}
            manifest = manifest.model_copy(update={"metrics": metrics})
        found, more = measured_precisions(bundle, known, lowered, limits)
        graphs |= more
        gate = {
            "measured_on": known.measured_on,
            "clips": len(known.gate),
            "calibration_clips": len(known.calibration),
            "limits": limits.model_dump(),
        }
    else:
        why = Attempt(method="none", reasons=(f"nothing to measure it on: {known}",))
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
        members=tuple(_member(member) for member in ensemble.members),
        provenance={
            "data_fingerprint": run.data_fingerprint,
            "folds": run.folds_spec,
            "folds_fingerprint": run.folds_fingerprint,
            "holdout": list(run.holdout),
            "exported_with": environment(),
            "trained_with": [_trained_with(member.place) for member in ensemble.members],
        },
        metrics={
            "oof": shown(ensemble.metrics) | {"best_single": ensemble.best_single},
            "choice": ensemble.choice,
            "subject_independent": run.subject_independent,
            "measured_on": "estimated from OOF",
        },
        parity=exported.parity,
        stream=stream_settings(ensemble, exported.parts),
    )


def _member(member: Member) -> dict[str, Any]:
    run = member.run
    said = {"run": member.place.name, "key": run.key, "weight": member.weight, "folds": run.num_folds}
    if member.refit is None:
        return said
    refit = read_refit(member.refit)
    return said | {"refit": {key: refit[key] for key in ("key", "clips", "courses")}}


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


def _version(manifest: Manifest, graphs: dict[str, bytes]) -> str:
    """Names the content: the same graphs, labels and settings of streams are the same version, on any machine."""
    digest = hashlib.sha256(repr((manifest.labels, sorted(graphs), manifest.stream)).encode())
    for name in sorted(graphs):
        digest.update(graphs[name])
    return digest.hexdigest()[:12]
