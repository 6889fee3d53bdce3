"""What is audited, and what is found."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, get_args

import numpy as np

from sigflow.config import Config
from sigflow.data.clips import Clips
from sigflow.data.folds import Folds, make_folds
from sigflow.data.targets import chosen_rows, rarest_words, vocabulary, words
from sigflow.errors import UserError
from sigflow.recipes.recipe import Recipe
from sigflow.topology import RAW

Severity: TypeAlias = Literal["error", "warning", "info"]
Code: TypeAlias = Literal[
    "class_imbalance", "confused_classes", "constant_labels", "copied_clips", "empty_clips", "exploding_features",
    "few_clips", "frames_without_hands", "infinite_landmarks", "left_right_mix", "lonely_test_class",
    "missing_labels", "mixed_extractors", "mixed_fps", "not_subject_independent", "similar_clips", "small_holdout",
    "small_stop_part", "small_test_fold", "swapped_labels", "targets_too_long", "too_many_parameters", "two_labels",
    "two_subjects", "unscaled_features", "unscaled_landmarks", "unseen_outputs", "untrained_class",
]  # fmt: skip
_SHOWN = 3


class Finding(Config):
    """One thing that speaks against the run: what was seen, and how to mend it."""

    code: Code
    severity: Severity
    evidence: str
    mend: str


@dataclass(frozen=True)
class Plan:
    """A run before it starts. `sentences`: each clip's label as a sentence of one, or its glosses; `labels`: outputs.

    Clips and sentences are those that take part: labelled, and not of classes that the recipe leaves out.
    """

    recipe: Recipe
    clips: Clips
    sentences: Sequence[Sequence[str]]
    labels: Sequence[str]
    folds: Folds
    unlabelled: Clips | None = None  # those without label or glosses: left out, or for pre-training alone
    left_out: int = 0  # clips of classes that the recipe leaves out

    def names(self, row: int) -> str:
        """The clip's label, or its glosses."""
        return " ".join(self.sentences[row])

    @property
    def fingerprint(self) -> str:
        """Of all that is learnt from: equal data, equal string."""
        learnt = self.clips.fingerprint
        if self.pretrained_on is None:
            return learnt
        return hashlib.sha256(f"{learnt} {self.pretrained_on.fingerprint}".encode()).hexdigest()

    @property
    def pretrained_on(self) -> Clips | None:
        """The unlabelled clips that this recipe learns from."""
        return self.free if self.recipe.pretraining.epochs else None

    @cached_property
    def free(self) -> Clips | None:
        """Unlabelled clips that pre-training may take, of nobody in the holdout; folds leave out their own people."""
        if self.unlabelled is None:
            return None
        subjects = self.clips.column("subject")
        held = {subjects[row] for row in self.folds.holdout}
        rows = [row for row, subject in enumerate(self.unlabelled.column("subject")) if subject not in held]
        return self.unlabelled.select(rows) if rows else None

    @cached_property
    def inside(self) -> np.ndarray:
        """Rows that take part in folds, (N,) bool; the others are the holdout."""
        inside_N = np.ones(len(self.clips), bool)
        inside_N[self.folds.holdout] = False
        return inside_N

    def counts(self, rows: Sequence[int] | np.ndarray) -> Counter[str]:
        """Of each class or gloss the number of clips among `rows` that have it."""
        return Counter(name for row in map(int, rows) for name in set(self.sentences[row]))


def make_plan(recipe: Recipe, clips: Clips, *, folds_spec: str = "5", holdout: Sequence[str] = ()) -> Plan:
    """Labels, outputs and folds of a run of `recipe` on `clips`, with the recipe as it fits them.

    Clips without label or glosses are left out and named, which is an error of the audit: whoever forces it goes on
    without them.

    Raises:
        UserError: no labels at all, or folds that the clips cannot give.
    """
    there = [bool(names) for names in clips.table["glosses" if recipe.sentences else "label"].to_pylist()]
    unlabelled = None
    if any(there) and not all(there):
        unlabelled = clips.select([row for row, its in enumerate(there) if not its])
        clips = clips.select([row for row, its in enumerate(there) if its])
    sentences = words(clips, sentences=recipe.sentences)
    rows = chosen_rows(sentences, min_clips=recipe.classes.min_clips, top_n=recipe.classes.top_n)
    if left_out := len(clips) - len(rows):
        clips, sentences = clips.select(rows), [sentences[row] for row in rows]
    recipe = fitted(recipe, clips)
    folds = make_folds(
        rarest_words(sentences),
        clips.column("subject"), clips.column("split"),
        spec=folds_spec, holdout=holdout,
    )  # fmt: skip
    held = set(folds.holdout.tolist())
    labels = vocabulary([s for i, s in enumerate(sentences) if i not in held], blank=recipe.sentences)
    if recipe.train.stop_on == "f1" and len(labels) != 2:
        raise UserError(f"train.stop_on=f1 is for two classes, here are {len(labels)}; choose macro_f1, or loss")
    return Plan(recipe, clips, sentences, labels, folds, unlabelled, left_out)


def fitted(recipe: Recipe, clips: Clips) -> Recipe:
    """The recipe with what only the clips know of it."""
    return recipe.fitted_to(
        longest=int(clips.offsets.diff().max()), channels=clips.parts[RAW].shape[1] if RAW in clips.parts else None
    )


def known_codes() -> tuple[str, ...]:
    """All codes that a finding may have."""
    return get_args(Code)


def listed(items: Sequence[object]) -> str:
    """The first few, and how many more."""
    more = len(items) - _SHOWN
    return ", ".join(map(str, items[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def number(count: int, noun: str) -> str:
    """The number, and the noun in its number."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
