"""A curriculum's lessons: which clips each has, and when the next one begins."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sigflow.monitors import Epoch
from sigflow.recipes.ways import Curriculum
from sigflow.training.parts import Part


class Lesson(NamedTuple):
    """The clips of a small vocabulary, as rows of the train and the stop part."""

    vocabulary: int
    train: Tensor
    stop: Tensor


def make_lessons(train: Part, stop: Part, curriculum: Curriculum) -> list[Lesson]:
    """In turn; a vocabulary of which either part has no clip, or that is the whole one, has none."""
    counts = Counter(word for sentence in train.targets.sentences() for word in sentence)
    ranked = [word for word, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    lessons = []
    for size in curriculum.vocabularies:
        known = set(ranked[:size])
        rows, stop_rows = (_rows(part, known) for part in (train, stop))
        if size < len(ranked) and len(rows) and len(stop_rows):
            lessons.append(Lesson(size, rows, stop_rows))
    return lessons


def progress(history: Sequence[Epoch], lessons: int, curriculum: Curriculum) -> tuple[int, int]:
    """Of so many lessons how many are over after these epochs, and how many epochs the lessons have had."""
    over = begun = spent = 0
    for epoch in history:
        if over == lessons:
            break
        spent += 1
        if epoch["stop_accuracy"] >= curriculum.accuracy or spent - begun == curriculum.epochs:
            over, begun = over + 1, spent
    return over, spent


def _rows(part: Part, known: set[int]) -> Tensor:
    rows = [row for row, sentence in enumerate(part.targets.sentences()) if known.issuperset(sentence)]
    return torch.tensor(rows, dtype=torch.int64, device=part.targets.lengths.device)
