"""Clips that are there twice: in both parts of a fold, under two labels, under two subjects.

Shape suffixes: M pairs, N all clips.
"""

import numpy as np

from sigflow.audit.features import Sample
from sigflow.audit.pairs import Pairs, alike, sharing_frames, together
from sigflow.audit.plan import Finding, Plan, listed, number

COPY = 0.8  # of the longer clip's frames are in the other one, in the same order: a copy, perhaps cut at an end


def copied(plan: Plan, sample: Sample) -> list[Finding]:
    """Findings on copies, and on clips that are nearly the same."""
    pairs, note = sharing_frames(plan)
    copies = pairs.where(pairs.share_M >= COPY)
    near, known = alike(plan, sample), set(pairs.rows)
    near = near.where(np.array([pair not in known for pair in near.rows], bool))
    similar = together(pairs.where(pairs.share_M < COPY), near)
    return [
        *_leaking(plan, copies, similar, note, sample.note),
        *_two_labels(plan, copies),
        *_two_subjects(plan, together(copies, similar)),
    ]


def _leaking(plan: Plan, copies: Pairs, similar: Pairs, note: str, sample_note: str) -> list[Finding]:
    found = []
    if copies.rows:
        leaks_M = _crosses(plan, copies)
        shown = copies.where(leaks_M) if leaks_M.any() else copies
        found.append(
            Finding(
                code="copied_clips", severity="error" if leaks_M.any() else "warning",
                evidence=f"{number(len(copies.rows), 'pair')} of clips with the same frames, in {leaks_M.sum()} one is "
                f"trained on and the other tested ({_told(plan, shown)}){note}",
                mend="leave one of each pair out",
            )
        )  # fmt: skip
    crossing = similar.where(_crosses(plan, similar))
    if crossing.rows:
        found.append(
            Finding(
                code="similar_clips", severity="warning",
                evidence=f"{number(len(crossing.rows), 'pair')} of clips that are nearly the same or share half of "
                f"their frames, one trained on and the other tested ({_told(plan, crossing)}){note or sample_note}",
                mend="leave one of each pair out, or give what comes from one recording one subject",
            )
        )  # fmt: skip
    return found


def _two_labels(plan: Plan, copies: Pairs) -> list[Finding]:
    names = [plan.names(row) for row in range(len(plan.clips))]
    differ_M = np.array([names[a] != names[b] for a, b in copies.rows], bool)
    # Of windows that overlap, one may rightly be called a fall and the other not: only the very same clip is a fault.
    contrary = copies.where(differ_M & (copies.share_M == 1))
    if not contrary.rows:
        return []
    return [
        Finding(
            code="two_labels", severity="error",
            evidence=f"{number(len(contrary.rows), 'pair')} of clips that are the same and have two labels "
            f"({_told(plan, contrary, names)})",
            mend="find out which label is right, and leave the other clip out",
        )
    ]  # fmt: skip


def _two_subjects(plan: Plan, pairs: Pairs) -> list[Finding]:
    subjects = plan.clips.column("subject")
    both = {
        tuple(sorted((str(subjects[a]), str(subjects[b]))))
        for a, b in pairs.rows
        if subjects[a] is not None and subjects[b] is not None and subjects[a] != subjects[b]
    }
    if not both:
        return []
    return [
        Finding(
            code="two_subjects", severity="warning",
            evidence="subjects have clips in common, and may be one person under two names "
            f"({listed([' and '.join(pair) for pair in sorted(both)])})",
            mend="give one person one name, so that folds keep them together",
        )
    ]  # fmt: skip


def _told(plan: Plan, pairs: Pairs, names: list[str] | None = None) -> str:
    ids = plan.clips.column("clip_id")
    ends = [ids if names is None else [f"{i} ({name})" for i, name in zip(ids, names, strict=True)]] * 2
    return listed([f"{ends[0][a]} = {ends[1][b]}" for a, b in pairs.rows])


def _crosses(plan: Plan, pairs: Pairs) -> np.ndarray:
    """Whether one clip is trained or stopped on and the other is tested, in any fold; the holdout is tested too."""
    crosses_M = plan.inside[pairs.first_M] != plan.inside[pairs.second_M]
    for fold in plan.folds.folds:
        role_N = np.full(len(plan.clips), -1)
        role_N[np.append(fold.train, fold.stop)] = 0
        role_N[fold.test] = 1
        crosses_M |= role_N[pairs.first_M] + role_N[pairs.second_M] == 1
    return crosses_M
