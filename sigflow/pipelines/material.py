"""The clips that a bundle is measured on, how that is told, and the clips that int8 is calibrated with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sigflow.audit import Plan, make_plan
from sigflow.bundle import Manifest, PrecisionName
from sigflow.data.clips import Clips, load_clips
from sigflow.data.targets import words
from sigflow.ensemble import Ensemble
from sigflow.errors import UserError
from sigflow.predictor import ClipInput
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location, locate

MOST_CLIPS = 500  # that precisions are compared on
CALIBRATION = 64


@dataclass(frozen=True)
class Material:
    """Rows of `clips`: `unseen` no fold model was trained on; `gate` precisions are compared on; `calibration`
    int8 is calibrated with, never any of the others.
    """

    plan: Plan  # of the first member's run, with the parts that any member reads
    true: Sequence[Sequence[int]]  # by row: its class as a list of one, or its glosses; -1: not learnt
    unseen: Sequence[int]
    gate: Sequence[int]
    calibration: Sequence[int]
    measured_on: str

    @property
    def clips(self) -> Clips:
        """All that are labelled."""
        return self.plan.clips

    def inputs(self, rows: Sequence[int]) -> list[ClipInput]:
        """As a client would send them."""
        return clip_inputs(self.clips, rows)


def clip_inputs(clips: Clips, rows: Sequence[int]) -> list[ClipInput]:
    """Clips of the table as a client would send them."""
    inputs = []
    for row in rows:
        frames = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
        parts = {part: points[frames].numpy() for part, points in clips.parts.items()}
        inputs.append(ClipInput(parts, clips.time_s_S[frames].numpy(), float(clips.aspect_N[row])))
    return inputs


def headed(
    bundle: Location, manifest: Manifest, precision: PrecisionName, data: Location, rows: Sequence[int],
    left_out: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """What every answer about a bundle on landmarks begins with.

    Args:
        rows: of the clips that are asked about.
        left_out: how many others there are, by reason.

    Raises:
        UserError: there are no such rows.
    """
    if not rows:
        raise UserError(f"no clip of {data} has a label that {bundle} knows ({', '.join(manifest.labels[:10])}, ...)")
    return {
        "bundle": bundle.uri,
        "name": manifest.name,
        "version": manifest.version,
        "precision": precision,
        "data": data.uri,
        "clips": len(rows),
        "left_out": left_out,
    }


def _as_read_by(recipe: Recipe, plan: Plan) -> Plan:
    unlabelled = plan.unlabelled and plan.unlabelled.read_by(recipe.parts)
    return replace(plan, recipe=recipe, clips=plan.clips.read_by(recipe.parts), unlabelled=unlabelled)


def read_material(ensemble: Ensemble) -> Material:
    """The ensemble's clips as they were trained on, with their roles.

    Raises:
        UserError: they are gone or were changed, or no clip of the holdout has a label that was trained.
    """
    run, place = ensemble.members[0].run, ensemble.members[0].place
    wanted = {part for member in ensemble.members for part in member.run.recipe.parts}
    whole = load_clips(locate(run.data), wanted, mixed=True)
    # Without those that were left out of training.
    plan = make_plan(run.recipe, whole, folds_spec=run.folds_spec, holdout=run.holdout)
    clips = plan.clips
    for member in ensemble.members:
        if _as_read_by(member.run.recipe, plan).fingerprint != member.run.data_fingerprint:
            raise UserError(f"{run.data} was changed after {member.place} was trained; train again on it")
    index = {label: number for number, label in enumerate(ensemble.labels)}
    true = [[index.get(name, -1) for name in names] for names in words(clips, sentences=run.recipe.sentences)]
    roles: dict[str, set[str]] = {}
    trained_first: set[str] = set()
    for row in (place / "folds.parquet").read_parquet().to_pylist():
        roles.setdefault(row["clip_id"], set()).add(row["role"])
        if (row["fold"], row["role"]) == (0, "train"):
            trained_first.add(row["clip_id"])
    ids, subjects = (clips.column(name) for name in ("clip_id", "subject"))
    known = [row for row in range(len(clips)) if -1 not in true[row]]
    held = [row for row in known if subjects[row] in run.holdout]
    if run.holdout and not held:
        raise UserError(f"no clip of {', '.join(run.holdout)} has a label that was trained; choose another --holdout")
    tested = [row for row in known if roles.get(str(ids[row])) == {"test"}]
    shuffled = np.random.default_rng(0).permutation(len(clips)).tolist()
    training = [row for row in shuffled if ids[row] in trained_first and row not in set(held)]
    unseen = held or tested
    # Where precisions are compared on training clips too, both need some.
    calibration = sorted(training[: min(CALIBRATION, len(training) if unseen else len(training) // 2)])
    taken = set(unseen) or {row for row in known if ids[row] in roles} - set(calibration)
    return Material(
        plan, true, unseen, sorted([row for row in shuffled if row in taken][:MOST_CLIPS]), calibration,
        "holdout subjects" if held
        else "test clips that no fold model was trained on" if tested
        else "clips that fold models were trained on: differences between precisions hold, accuracies are too high",
    )  # fmt: skip
