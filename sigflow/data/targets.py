"""What is to be recognised in each clip: its class, or the sentence of glosses that is signed in it.

Shape suffixes: S all clips, G glosses of the longest sentence.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.decoding import BLANK
from sigflow.errors import UserError

BLANK_LABEL = "<blank>"


class Targets(NamedTuple):
    """Indices of classes. A classified clip is a sentence of one; sentences are padded with 0."""

    glosses: Int[Tensor, "S G"]
    lengths: Int[Tensor, " S"]

    def take(self, rows: Tensor) -> "Targets":
        """Those of the clips `rows`."""
        return Targets(self.glosses[rows], self.lengths[rows])

    def to(self, device: torch.device) -> "Targets":
        """The same on `device`."""
        return Targets(self.glosses.to(device), self.lengths.to(device))

    def sentences(self) -> list[list[int]]:
        """As lists."""
        return [row[:length] for row, length in zip(self.glosses.tolist(), self.lengths.tolist(), strict=True)]


def words(clips: Clips, *, sentences: bool) -> list[list[str]]:
    """Each clip's label as a sentence of one, or its glosses.

    Raises:
        UserError: a clip has none.
    """
    if sentences:
        found = [list(glosses or ()) for glosses in clips.table["glosses"].to_pylist()]
        column, hint = "glosses", "give a manifest with a glosses column, or compose sentences with jobs/compose.py"
    else:
        found = [[] if label is None else [label] for label in clips.column("label")]
        column, hint = "label", "label all (by folder, or in the manifest), or leave them out"
    if empty := [clip_id for clip_id, names in zip(clips.column("clip_id"), found, strict=True) if not names]:
        raise UserError(f"{len(empty)} clips have no {column}, {empty[0]} first; {hint}")
    return found


def vocabulary(sentences: Sequence[Sequence[str]], *, blank: bool) -> tuple[str, ...]:
    """All names in order, after CTC's blank if there is one.

    Raises:
        UserError: "-" among glosses: nothing signed is what blank says, and never a gloss.
    """
    names = sorted({name for sentence in sentences for name in sentence})
    if blank and "-" in names:
        raise UserError("'-' (nothing signed) is no gloss; leave it out of the glosses: the blank stands for it")
    return (BLANK_LABEL, *names) if blank else tuple(names)


def make_targets(sentences: Sequence[Sequence[str]], labels: Sequence[str]) -> Targets:
    """Indices by label; a name that is no label (only the holdout has it) becomes -1."""
    index = {label: k for k, label in enumerate(labels)}
    longest = max(map(len, sentences))
    rows = [
        [*(index.get(name, -1) for name in sentence), *[BLANK] * (longest - len(sentence))] for sentence in sentences
    ]
    return Targets(torch.tensor(rows), torch.tensor([len(sentence) for sentence in sentences]))


def chosen_rows(sentences: Sequence[Sequence[str]], *, min_clips: int, top_n: int | None) -> list[int]:
    """Clips all of whose words occur in at least `min_clips` clips and are among the `top_n` most frequent ones."""
    counts = Counter(name for sentence in sentences for name in set(sentence))
    frequent = [
        name for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= min_clips
    ]
    kept = set(frequent[:top_n])
    return [row for row, sentence in enumerate(sentences) if kept.issuperset(sentence)]


def rarest_words(sentences: Sequence[Sequence[str]]) -> list[str]:
    """Of each sentence the word that the fewest clips have: spread over folds by it, rare words are in all of them."""
    counts = Counter(name for sentence in sentences for name in set(sentence))
    return [min(sentence, key=lambda name: (counts[name], name)) for sentence in sentences]
