"""Were the people seen: empty clips, frames without hands, left and right, units, frame rates, extractors.

Shape suffixes: S all frames, B some of them, N clips, P points.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from sigflow.audit.plan import Finding, Plan, listed, number
from sigflow.data.sentences import NOTHING
from sigflow.features.hand import HandFeatures, movement
from sigflow.features.phonology import PhonologyFeatures
from sigflow.topology import PARTS

HANDS = ("left_hand", "right_hand")
MANY_UNSEEN = 0.1  # of the clips; in any folder of recordings a few are spoilt
PIXELS = 3.0  # pictures are 1 wide and high; a hand that leaves them seldom gets to 1.5, pixels are in the hundreds
OTHER_HAND = 0.25  # of one subject's clips of one class: more than slips
FEW_TAKES = 4  # of one subject and class: fewer say nothing about a habit
FPS_RATIO = 1.2
_BLOCK = 512


def seen_well(plan: Plan) -> list[Finding]:
    """Findings on landmarks before any feature is computed."""
    return [*_unseen(plan), *_infinite(plan), *_pixels(plan), *_sides(plan), *_fps(plan), *_extractors(plan)]


def _unseen(plan: Plan) -> list[Finding]:
    """A class that says that nothing is signed may show nothing."""
    something = np.array([list(sentence) != [NOTHING] for sentence in plan.sentences])
    if not something.any():
        return []
    found = []
    empty_N = (_share(plan, plan.recipe.frontend.parts) == 0) & something
    if empty_N.any():
        found.append(
            Finding(
                code="empty_clips", severity="error" if 2 * empty_N.sum() > something.sum() else "warning",
                evidence=f"{empty_N.sum()} of {something.sum()} clips show nothing of what the recipe reads "
                f"({_by_class(plan, empty_N)}): for the model they are all the same",
                mend="look at a few of them: extract them again, or leave them out",
            )
        )  # fmt: skip
    hands = tuple(part for part in HANDS if part in plan.recipe.frontend.parts)
    if not hands:
        return found
    rare_N = (_share(plan, hands) < 0.5) & ~empty_N & something
    if rare_N.sum() > MANY_UNSEEN * something.sum():
        found.append(
            Finding(
                code="frames_without_hands", severity="warning",
                evidence=f"{rare_N.sum()} of {something.sum()} clips show {_hand_of(hands)} in fewer than half of "
                f"their frames ({_by_class(plan, rare_N)})",
                mend="start and end clips with the movement, keep the hands in the picture and well lit"
                + ("" if len(hands) == 2 else ", or read the hand that moves (features with side=moving)"),
            )
        )  # fmt: skip
    return found


def _share(plan: Plan, parts: Sequence[str]) -> np.ndarray:
    """In which share of each clip's frames any of the parts is there."""
    counts_N = torch.zeros(len(plan.clips), dtype=torch.int64)
    for clip_B, frames in plan.clips.blocks():
        there_B = torch.zeros(len(clip_B), dtype=torch.bool)
        for part in parts:
            there_B |= ~plan.clips.parts[part][frames].flatten(1)[:, 0].isnan()
        counts_N += torch.bincount(clip_B[there_B], minlength=len(counts_N))
    return (counts_N.double() / plan.clips.offsets.diff()).numpy()


def _hand_of(hands: Sequence[str]) -> str:
    return "a hand" if len(hands) == 2 else f"the {hands[0].replace('_', ' ')}"


def _by_class(plan: Plan, chosen_N: np.ndarray) -> str:
    counts = Counter(plan.names(row) for row in chosen_N.nonzero()[0].tolist())
    return listed([f"{name}: {count}" for name, count in counts.most_common()])


def _infinite(plan: Plan) -> list[Finding]:
    """Features make NaN of them, and so take them for missing: nobody would see it."""
    infinite_N = torch.zeros(len(plan.clips), dtype=torch.bool)
    for clip_B, frames in plan.clips.blocks():
        for part in plan.recipe.frontend.parts:
            infinite_N[clip_B[plan.clips.parts[part][frames].flatten(1).isinf().any(1)]] = True
    rows = infinite_N.nonzero().flatten().tolist()
    if not rows:
        return []
    ids = plan.clips.column("clip_id")
    return [
        Finding(
            code="infinite_landmarks", severity="error",
            evidence=f"{number(len(rows), 'clip')} with infinite landmarks ({listed([ids[row] for row in rows])})",
            mend="find out where they come from: NaN or null means missing, and nothing is infinite",
        )
    ]  # fmt: skip


def _pixels(plan: Plan) -> list[Finding]:
    for part in PARTS:
        if part not in plan.recipe.frontend.parts:
            continue
        xy_SP2 = plan.clips.parts[part][:: max(1, len(plan.clips.time_s_S) // 2000), :, :2]
        seen = xy_SP2[~xy_SP2.isnan()].abs()
        if len(seen) and float(seen.median()) > PIXELS:
            return [
                Finding(
                    code="unscaled_landmarks", severity="error",
                    evidence=f"x and y of {part} are about {float(seen.median()):.0f}; divided by the picture's width "
                    "and height they would lie between 0 and 1",
                    mend="divide them by width and height, and import again",
                )
            ]  # fmt: skip
    return []


def _sides(plan: Plan) -> list[Finding]:
    if not set(HANDS) <= set(plan.recipe.frontend.parts):
        return []
    left_N, moves_N = _moves_left(plan)
    subjects = plan.clips.column("subject")
    takes: dict[tuple[str | None, str], list[bool]] = {}
    habits: dict[str | None, list[bool]] = {}
    for row in moves_N.nonzero()[0].tolist():
        habits.setdefault(subjects[row], []).append(bool(left_N[row]))
        if not plan.recipe.sentences:
            takes.setdefault((subjects[row], plan.sentences[row][0]), []).append(bool(left_N[row]))
    left_handed = sorted(str(name) for name, lefts in habits.items() if name is not None and np.mean(lefts) > 0.5)
    changing = [
        f"{label}{'' if subject is None else f' by {subject}'}: {sum(lefts)} of {len(lefts)}"
        for (subject, label), lefts in takes.items()
        if len(lefts) >= FEW_TAKES and OTHER_HAND <= np.mean(lefts) <= 1 - OTHER_HAND
    ]
    told = []
    if 0 < len(left_handed) < len(habits):
        told.append(f"{len(left_handed)} of {len(habits)} subjects move mainly the left hand ({listed(left_handed)})")
    if changing:
        told.append(f"one subject makes one class now with this hand, now with that (left: {listed(changing)} clips)")
    if not told:
        return []
    matters = _side_matters(plan)
    return [
        Finding(
            code="left_right_mix", severity="warning" if matters else "info",
            evidence="; ".join(told),
            mend="extract mirrored videos with --mirrored, "
            + ("and let features read the hand that moves, mirrored (side=moving, mirror=true, first=dominant)"
               if matters else "else nothing: the recipe reads the hand that moves, whichever it is"),
        )
    ]  # fmt: skip


def _moves_left(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Whether the left hand moves more than the right one, (N,); whether one moves twice as much as the other."""
    paths = []
    for start in range(0, len(plan.clips), _BLOCK):
        inputs = plan.clips.batch(range(start, min(start + _BLOCK, len(plan.clips))))
        paths.append(torch.stack([movement(inputs.parts[hand], inputs.aspect) for hand in HANDS]))
    left_N, right_N = torch.cat(paths, 1)
    clear_N = torch.maximum(left_N, right_N) > 2 * torch.minimum(left_N, right_N)
    return (left_N > right_N).numpy(), clear_N.numpy()


def _side_matters(plan: Plan) -> bool:
    for feature in plan.recipe.frontend.features:
        match feature:
            case HandFeatures() if feature.side != "moving" or not feature.mirror:
                return True
            case PhonologyFeatures(first="left"):
                return True
    return False


def _fps(plan: Plan) -> list[Finding]:
    rates = Counter(round(rate, 1) for rate in plan.clips.table["fps"].to_pylist() if rate)
    if len(rates) < 2 or max(rates) <= FPS_RATIO * min(rates):
        return []
    by_time = plan.recipe.frontend.resampling.num_frames is not None
    return [
        Finding(
            code="mixed_fps", severity="info" if by_time else "warning",
            evidence=f"clips have {min(rates):g} to {max(rates):g} frames a second",
            mend="nothing: clips are resampled by their times" if by_time
            else "extract all with the same --fps, or set frontend.resampling.num_frames",
        )
    ]  # fmt: skip


def _extractors(plan: Plan) -> list[Finding]:
    makers = Counter(str(maker) for maker in plan.clips.column("extractor"))
    if len(makers) < 2:
        return []
    shown = listed([f"{count} clips by {maker}" for maker, count in makers.most_common()])
    return [
        Finding(
            code="mixed_extractors", severity="error",
            evidence=f"landmarks of {len(makers)} extractors are mixed ({shown}): a model may tell these apart",
            mend="extract all clips with one",
        )
    ]  # fmt: skip
