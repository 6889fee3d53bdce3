"""Do labels, outputs and folds fit each other: missing, constant, unseen, out of balance, too long for CTC."""

import torch

from sigflow.audit.plan import Finding, Plan, listed
from sigflow.data.targets import BLANK_LABEL, make_targets
from sigflow.losses import fits

IMBALANCE = 10  # times: of the rarest class a batch of 32 has then a clip or two, or none
MANY_TOO_LONG = 0.1  # of the clips; a few that do not fit teach nothing, and do no harm


def labelled(plan: Plan) -> list[Finding]:
    """Findings on labels, glosses and outputs."""
    return [*_missing(plan), *_constant(plan), *_unseen(plan), *_imbalance(plan), *_too_long(plan)]


def _missing(plan: Plan) -> list[Finding]:
    if plan.unlabelled is None:
        return []
    column, ids = "glosses" if plan.recipe.sentences else "label", plan.unlabelled.column("clip_id")
    used = plan.recipe.pretraining.epochs > 0
    return [
        Finding(
            code="missing_labels", severity="info" if used else "error",
            evidence=f"{len(ids)} of {len(ids) + len(plan.clips)} clips have no {column} ({listed(ids)})",
            mend="they are pre-trained on, where nobody in them is judged or tested" if used
            else "label them by folder or in the manifest; forced, the run goes on without them",
        )
    ]  # fmt: skip


def _constant(plan: Plan) -> list[Finding]:
    constant = [
        fold.number
        for fold in plan.folds.folds
        if len({tuple(plan.sentences[row]) for row in fold.train}) == 1
    ]  # fmt: skip
    if not constant:
        return []
    only = plan.names(int(plan.folds.folds[constant[0]].train[0]))
    return [
        Finding(
            code="constant_labels", severity="error",
            evidence=f"all training clips of fold {listed(constant)} have one label ({only}): nothing to tell apart",
            mend="spread the labels over the split column or over the subjects, or use other folds",
        )
    ]  # fmt: skip


def _unseen(plan: Plan) -> list[Finding]:
    seen = set(plan.counts(plan.inside.nonzero()[0])) | {BLANK_LABEL}
    unseen = [name for name in plan.labels if name not in seen]
    if not unseen:
        return []
    return [
        Finding(
            code="unseen_outputs", severity="error",
            evidence=f"{len(unseen):,} of {len(plan.labels):,} outputs have no clip ({listed(unseen)})",
            mend="let the vocabulary be what the clips have, or add clips of these",
        )
    ]  # fmt: skip


def _imbalance(plan: Plan) -> list[Finding]:
    counts = sorted((count, name) for name, count in plan.counts(plan.inside.nonzero()[0]).items())
    (fewest, rarest), (most, commonest) = counts[0], counts[-1]
    if most <= IMBALANCE * fewest:
        return []
    weighted = plan.recipe.loss_weights
    mend = (
        "nothing: the loss weighs rare classes more" if weighted
        else "leave rare glosses out with --set classes.min_clips=N or classes.top_n=N" if plan.recipe.sentences
        else "weigh rare classes with --set loss.class_weights=true, or leave them out with classes.min_clips=N"
    )  # fmt: skip
    return [
        Finding(
            code="class_imbalance", severity="info" if weighted else "warning",
            evidence=f"{commonest} has {most} clips and {rarest} {fewest}, {most / fewest:.0f} times fewer",
            mend=mend,
        )
    ]  # fmt: skip


def _too_long(plan: Plan) -> list[Finding]:
    if not plan.recipe.sentences:
        return []
    targets = make_targets(plan.sentences, plan.labels)
    lengths_N = plan.clips.offsets.diff()
    if plan.recipe.frontend.resampling.num_frames is not None:
        lengths_N = torch.full_like(lengths_N, plan.recipe.frontend.resampling.num_frames)
    rows = (~fits(lengths_N, targets.glosses, targets.lengths)).nonzero().flatten().tolist()
    if not rows:
        return []
    ids = plan.clips.column("clip_id")
    shown = listed([f"{ids[row]}: {len(plan.sentences[row])} glosses, {int(lengths_N[row])} frames" for row in rows])
    return [
        Finding(
            code="targets_too_long", severity="error" if len(rows) > MANY_TOO_LONG * len(lengths_N) else "warning",
            evidence=f"{len(rows)} of {len(lengths_N)} clips have more glosses than their frames can spell ({shown})",
            mend="cut long clips into sentences, extract more frames a second, or set frontend.resampling.num_frames "
            "higher",
        )
    ]  # fmt: skip
