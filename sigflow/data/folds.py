"""Who is trained on, who picks the epoch, who is tested: train / stop / test for each fold.

Subjects never cross: the stop part is disjoint in subjects from train and test too, so that neither the epoch nor the
weights are chosen on anyone who is tested.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sigflow.data.groups import draw_parts
from sigflow.errors import UserError

HOLDOUT = "holdout"
UNLABELLED = "unlabelled"  # may have been pre-trained on


@dataclass(frozen=True)
class Fold:
    """Row numbers of the clips of one fold, ascending."""

    number: int
    train: np.ndarray
    stop: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Folds:
    """All folds, and the clips that left before. `subject_independent`: no subject is in two parts of a fold."""

    folds: tuple[Fold, ...]
    holdout: np.ndarray
    spec: str
    subject_independent: bool

    @property
    def fingerprint(self) -> str:
        """Hash of every part of every fold."""
        parts = [getattr(fold, role).tolist() for fold in self.folds for role in ("train", "stop", "test")]
        return hashlib.sha256(repr((parts, self.holdout.tolist())).encode()).hexdigest()

    def table(self, clip_ids: Sequence[str], unlabelled: Sequence[str | None] = ()) -> pa.Table:
        """Long form, one row per clip and fold: clip_id, fold (-1 for the holdout), role. `unlabelled`: more clips."""
        rows = [
            (clip_ids[i], fold.number, role)
            for fold in self.folds
            for role in ("train", "stop", "test")
            for i in getattr(fold, role)
        ] + [(clip_ids[i], -1, HOLDOUT) for i in self.holdout]
        rows += [(str(clip_id), fold.number, UNLABELLED) for fold in self.folds for clip_id in unlabelled]
        ids, numbers, roles = zip(*rows, strict=True)
        return pa.table({"clip_id": ids, "fold": pa.array(numbers, pa.int32()), "role": roles})


def make_folds(
    labels: Sequence[str],
    subjects: Sequence[str | None],
    splits: Sequence[str | None],
    *,
    spec: str,
    holdout: Sequence[str] = (),
) -> Folds:
    """Folds by `spec`: "5" stratified and grouped by subject, "subject" one subject each, "random:5" stratified only,
    "split" the split column (train, val or stop, test). "5@1" and "random:5@1" are drawn with seed 1 instead of 0.

    The seed of a recipe has no say: runs of other seeds have the same folds, and can be compared and ensembled.

    Raises:
        UserError: the data cannot give these folds.
    """
    rows = np.arange(len(labels))
    if unknown := set(holdout) - set(subjects):
        known = ", ".join(sorted({subject for subject in subjects if subject})) or "no subjects"
        raise UserError(f"--holdout names {', '.join(sorted(unknown))}, but the data has {known}")
    held = np.array([subject in set(holdout) for subject in subjects], bool)
    y = np.array(labels)
    inside = rows[~held]
    if len(set(y[inside])) < 2:
        only = ", ".join(sorted(set(y[inside]))) or "none"
        raise UserError(f"training needs at least 2 classes, the data has {only}; add clips of another label")
    groups = np.array(["" if subject is None else subject for subject in subjects])
    drawn, at, text = spec.partition("@")
    if at and not text.isdecimal():
        raise UserError(f"--folds '{spec}': after @ stands the seed, a whole number")
    seed = int(text) if at else 0
    kind, _, count = drawn.partition(":")
    if spec == "split":
        folds = (_by_split(splits, inside),)
        parts = [set(groups[part]) for part in (folds[0].train, folds[0].stop, folds[0].test)]
        all_known = "" not in set(groups[inside])
        return Folds(folds, rows[held], spec, all_known and sum(map(len, parts)) == len(set().union(*parts)))
    if kind == "random":
        number = _count(count, spec)
        return Folds(_stratified(y, None, inside, number, seed), rows[held], spec, subject_independent=False)
    people = sorted(set(groups[inside]))
    number = len(people) if spec == "subject" else _count(drawn, spec)
    if len(people) < max(number, 3):  # train, stop and test each need someone of their own
        who = "no subject is known (one unknown person)" if people == [""] else f"there are {len(people)} subjects"
        raise UserError(
            f"{number} subject-grouped folds need at least {max(number, 3)} subjects, but {who}; "
            f"use fewer folds, add subjects, or say --folds random:{max(number, 2)} (not subject-independent)"
        )
    return Folds(_stratified(y, groups, inside, number, seed), rows[held], spec, subject_independent="" not in people)


def _count(text: str, spec: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise UserError(f"--folds '{spec}' is none of: a number from 2, subject, split, random:N")
    return int(text)


def _stratified(
    y: np.ndarray, groups: np.ndarray | None, inside: np.ndarray, number: int, seed: int
) -> tuple[Fold, ...]:
    folds = []
    for k, (rest, test) in enumerate(_splits(y, groups, inside, number, seed, drawn=seed > 0)):
        # A part about as large as a test fold, but never so large that little is left to train on.
        parts = max(2, min(number - 1, 5))
        if groups is not None and len(set(groups[rest])) < 2:
            raise UserError(f"fold {k} leaves one subject to train and to stop on; use more folds, or add subjects")
        # Of the possible stop parts the first that leaves all classes to train on: a sign that two people alone made
        # would otherwise be tested on the one while the other picks the epoch.
        ways = _splits(y, groups, rest, parts, seed + 1 + k, drawn=seed > 0)
        train, stop = max(ways, key=lambda way: len(set(y[way[0]])))
        folds.append(Fold(k, np.sort(train), np.sort(stop), np.sort(test)))
    return tuple(folds)


def _splits(
    y: np.ndarray, groups: np.ndarray | None, rows: np.ndarray, number: int, seed: int, *, drawn: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """`number` ways to cut `rows` in two, as row numbers; groups by scikit-learn, or really `drawn`."""
    # Here, because it takes a second that whoever is given folds need not spend.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if groups is None:
        cutter = StratifiedKFold(number, shuffle=True, random_state=seed).split(rows, y[rows])
    else:
        number = min(number, len(set(groups[rows])))
        if drawn:
            parts = draw_parts(y[rows], groups[rows], number, seed)
            return [(np.delete(rows, part), rows[part]) for part in parts]
        cutter = StratifiedGroupKFold(number, shuffle=True, random_state=seed).split(rows, y[rows], groups[rows])
    try:
        return [(rows[rest], rows[part]) for rest, part in cutter]
    except ValueError as error:
        raise UserError(f"the clips cannot be cut into {number} parts: {error}") from error


def _by_split(splits: Sequence[str | None], inside: np.ndarray) -> Fold:
    roles = {
        "train": "train",
        "val": "stop",
        "valid": "stop",
        "validation": "stop",
        "stop": "stop",
        "test": "test",
    }
    parts: dict[str, list[int]] = {"train": [], "stop": [], "test": []}
    for i in inside:
        role = roles.get((splits[i] or "").lower())
        if role is None:
            raise UserError(
                f"--folds split needs train, val or test in every clip's split column, and found '{splits[i]}'"
            )
        parts[role].append(int(i))
    if empty := [role for role, rows in parts.items() if not rows]:
        raise UserError(f"--folds split: no clip has the role {empty[0]}; give clips of split train, val and test")
    return Fold(0, *(np.array(parts[role]) for role in ("train", "stop", "test")))
