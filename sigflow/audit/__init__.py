"""Can this data support this recipe? Checks before a run; errors stop it unless they are forced by their code.

What decides a threshold stands beside it. A check that cannot be wrong about good data may be an error; one that only
suspects is a warning; what is worth knowing and needs nothing done is an info.
"""

from collections.abc import Sequence

from sigflow.audit.confusion import confused
from sigflow.audit.copies import copied
from sigflow.audit.features import draw_sample, unscaled
from sigflow.audit.labels import labelled
from sigflow.audit.landmarks import seen_well
from sigflow.audit.plan import Finding, Plan, known_codes, make_plan
from sigflow.audit.sizes import large_enough
from sigflow.errors import UserError

__all__ = ["Finding", "Plan", "audit", "known_codes", "make_plan", "stop_on_errors"]

_ORDER = ("error", "warning", "info")


def audit(plan: Plan) -> list[Finding]:
    """What speaks against the run that `plan` is, errors first. Nothing is changed, nothing is drawn at random."""
    sample = draw_sample(plan)
    found = [
        *large_enough(plan), *labelled(plan), *seen_well(plan),
        *unscaled(plan, sample), *copied(plan, sample), *confused(plan, sample),
    ]  # fmt: skip
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def stop_on_errors(findings: Sequence[Finding], force: Sequence[str] = ()) -> None:
    """Let a run go on only without errors, or with all of them forced by their codes.

    Raises:
        UserError: an error that is not forced, or a code that no finding has.
    """
    if unknown := sorted(set(force) - set(known_codes())):
        raise UserError(f"--force {unknown[0]} is no code of the audit; codes are {', '.join(known_codes())}")
    errors = [finding for finding in findings if finding.severity == "error" and finding.code not in force]
    if errors:
        told = " | ".join(f"{finding.code}: {finding.evidence}; {finding.mend}" for finding in errors)
        raise UserError(f"audit: {told} | or go on with --force {','.join(finding.code for finding in errors)}")
