"""The clips of one part of a fold, as features and targets in memory.

Shape suffixes: N clips of a part, T frames after resampling, F features, C numbers of an auxiliary target.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sigflow.data.augment import augment
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets
from sigflow.features.frontend import Sequences, compute_features
from sigflow.features.inputs import Inputs
from sigflow.monitors import Epoch
from sigflow.recipes.recipe import Recipe
from sigflow.topology import SIGNING
from sigflow.training.team import Team

_BATCH = 256


class Part(NamedTuple):
    """`extra`: what auxiliary heads are taught, by their names, (N, T, C); NaN where nobody knows."""

    sequences: Sequences
    targets: Targets
    extra: dict[str, Tensor]

    def take(self, rows: Tensor) -> "Part":
        """The clips `rows`, without the padding that only longer clips need."""
        lengths = self.sequences.lengths[rows]
        longest = int(lengths.max())
        return Part(
            Sequences(self.sequences.values[rows, :longest], lengths),
            self.targets.take(rows),
            {name: values[rows, :longest] for name, values in self.extra.items()},
        )

    def __len__(self) -> int:  # of clips, not of fields
        return len(self.sequences.lengths)


@dataclass(frozen=True)
class Fitting:
    """What all steps of one fold share.

    Of the generators, which live on the CPU so that every device draws the same numbers, `common` gives the same to all
    workers of a team, `own` gives each its own.
    """

    recipe: Recipe
    clips: Clips
    labels: Sequence[str]
    fold: Fold
    targets: Targets
    device: torch.device
    report: Callable[[Epoch], None]
    team: Team
    history: list[Epoch] = field(default_factory=list)
    common: torch.Generator = field(default_factory=torch.Generator)
    own: torch.Generator = field(default_factory=torch.Generator)

    def begin_epoch(self, member: int, number: int) -> None:
        """Seed everything anew, by what epoch it is: one that is taken up again needs to know no more than that.

        Epochs of a refit count down from -1.
        """
        refit = number < 0
        seed = np.random.SeedSequence([self.recipe.train.seed, self.fold.number, member, abs(number), refit])
        common, *each = seed.generate_state(1 + 2 * self.team.size).tolist()
        self.common.manual_seed(common)
        self.own.manual_seed(each[2 * self.team.rank])
        torch.manual_seed(each[2 * self.team.rank + 1])

    def part(self, rows: np.ndarray, *, augmented: bool = False) -> Part:
        """Of the clips `rows`, in large batches, which cost less than a step's own."""
        values, lengths = [], []
        extra: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                inputs = self.clips.batch(rows[start : start + _BATCH].tolist())
                if augmented:
                    inputs = augment(inputs, self.recipe.augmentation, self.own)
                sequences = compute_features(inputs, self.recipe.frontend)
                values.append(sequences.values)
                lengths.append(sequences.lengths)
                for name, taught in self._extra(inputs).items():
                    extra.setdefault(name, []).append(taught)
        index = torch.from_numpy(rows).to(self.device)
        return Part(
            Sequences(joined(values), torch.cat(lengths)),
            self.targets.take(index),
            {name: joined(batches) for name, batches in extra.items()},
        )

    def _extra(self, inputs: Inputs) -> dict[str, Tensor]:
        found = {}
        if self.recipe.auxiliary.phonology:
            found["phonology"] = compute_features(inputs, self.recipe.phonology_frontend).values
        if self.recipe.reads_signing:
            found["segmentation"] = inputs.parts[SIGNING]
        return found


def joined(batches: Sequence[Tensor]) -> Tensor:
    """One after the other, (N, T, ...), padded with NaN to the longest."""
    longest = max(batch.shape[1] for batch in batches)
    return torch.cat([nn.functional.pad(b, (0, 0, 0, longest - b.shape[1]), value=torch.nan) for b in batches])
