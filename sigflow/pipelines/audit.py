"""What a run would be made of, and what speaks against it: the same steps for the audit and for training."""

import sys
from collections.abc import Sequence

from sigflow.audit import Finding, Plan, audit, make_plan
from sigflow.data.clips import load_clips
from sigflow.recipes.recipe import Recipe
from sigflow.storage import Location


def prepare(recipe: Recipe, data: Location, *, folds_spec: str = "5", holdout: Sequence[str] = ()) -> Plan:
    """A run of `recipe` on `data` as it would be.

    Clips of several extractors are read: that is an error of the audit, which whoever forces it takes as it is.

    Raises:
        UserError: no clips, no labels at all, or folds that the data cannot give.
    """
    return prepare_all([recipe], data, folds_spec=folds_spec, holdout=holdout)[0]


def prepare_all(
    recipes: Sequence[Recipe], data: Location, *, folds_spec: str = "5", holdout: Sequence[str] = ()
) -> list[Plan]:
    """`prepare` for each of several recipes; the data is read once, with the parts that any of them reads."""
    clips = load_clips(data, {part for recipe in recipes for part in recipe.parts}, mixed=True)
    if clips.spool is not None:
        said = f"landmarks of {clips.nbytes / 2**30:.1f} GiB are too many for memory: mapped from {clips.spool.folder}"
        print(said, file=sys.stderr)
    plans = [make_plan(recipe, clips, folds_spec=folds_spec, holdout=holdout) for recipe in recipes]
    if plans[0].left_out:
        print(f"{plans[0].left_out} clips of rare labels are left out (recipe.classes)", file=sys.stderr)
    return plans


def audit_and_tell(plan: Plan) -> list[Finding]:
    """The findings, each also as a line for people."""
    findings = audit(plan)
    for finding in findings:
        print(f"{finding.severity}: {finding.code}: {finding.evidence}; {finding.mend}", file=sys.stderr)
    return findings
