"""The clips of one part of a fold, as features and targets.

Shape suffixes: N clips of a part, T frames after resampling, F features, C numbers of an auxiliary target.
"""

from collections.abc import Callable, Iterator, Sequence
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
NUMBERS_AT_ONCE = 1 << 28  # of features: 1 GiB


class Batch(NamedTuple):
    """Clips as a model takes them.

    `extra`: what auxiliary heads are taught, by their names, (N, T, C); NaN where nobody knows.
    """

    sequences: Sequences
    targets: Targets
    extra: dict[str, Tensor]

    def take(self, rows: Tensor) -> "Batch":
        """The clips `rows`, without the padding that only longer clips need."""
        lengths = self.sequences.lengths[rows]
        longest = int(lengths.max())
        return Batch(
            Sequences(self.sequences.values[rows, :longest], lengths),
            self.targets.take(rows),
            {name: values[rows, :longest] for name, values in self.extra.items()},
        )

    def __len__(self) -> int:  # of clips, not of fields
        return len(self.sequences.lengths)


@dataclass(frozen=True)
class Part:
    """The clips of one part of a fold. Features that fit into memory are computed once, others as they are needed."""

    fitting: "Fitting"
    rows: np.ndarray
    targets: Targets
    whole: Batch | None

    @property
    def lengths(self) -> Tensor:
        """Frames of each clip as a model reads it, (N,)."""
        num_frames = self.fitting.recipe.frontend.resampling.num_frames
        if num_frames is not None:
            return torch.full((len(self),), num_frames)
        return self.fitting.clips.offsets.diff().cpu()[torch.from_numpy(self.rows)]

    def take(self, rows: Tensor) -> "Part":
        """Those clips of it."""
        whole = self.whole.take(rows) if self.whole else None
        return Part(self.fitting, self.rows[rows.cpu().numpy()], self.targets.take(rows), whole)

    def chunks(self) -> Iterator[Batch]:
        """All clips in order, as many at once as memory holds."""
        if self.whole is not None:
            yield self.whole
            return
        size = self.fitting.clips_at_once
        for start in range(0, len(self), size):
            yield self.fitting.load(self.rows[start : start + size])

    def sample(self) -> Batch:
        """All clips, or evenly spread ones: as many as memory holds."""
        if self.whole is not None:
            return self.whole
        chosen = np.linspace(0, len(self) - 1, self.fitting.clips_at_once).round().astype(int)
        return self.fitting.load(self.rows[np.unique(chosen)])

    def batches(self, shares: Sequence[Tensor], *, augmented: bool) -> Iterator[Batch]:
        """For each of the `shares`, row numbers of this part, its clips; nothing for one that is empty."""
        device = self.fitting.device
        if self.whole is not None and not augmented:
            yield from (self.whole.take(share.to(device)) for share in shares if len(share))
            return
        most = len(self) if self.whole is not None else self.fitting.clips_at_once
        for group in grouped(shares, most):
            loaded = self.fitting.load(self.rows[torch.cat(group).numpy()], augmented=augmented)
            places = torch.arange(len(loaded), device=device).split([len(share) for share in group])
            yield from (loaded.take(rows) for rows in places)

    def __len__(self) -> int:
        return len(self.rows)


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

    def part(self, rows: np.ndarray) -> Part:
        """Of the clips `rows`."""
        whole = self.load(rows) if len(rows) <= self.clips_at_once else None
        return Part(self, rows, self.targets.take(torch.from_numpy(rows).to(self.device)), whole)

    @property
    def clips_at_once(self) -> int:
        """Clips whose features memory holds beside everything else; whole batches."""
        frames = self.recipe.frontend.resampling.num_frames or int(self.clips.offsets.diff().max())
        return max(1, NUMBERS_AT_ONCE // (frames * self.recipe.frontend.size) // _BATCH) * _BATCH

    def load(self, rows: np.ndarray, *, augmented: bool = False) -> Batch:
        """The clips `rows` all at once; computed in large batches, which cost less than a step's own."""
        values, lengths = [], []
        extra: dict[str, list[Tensor]] = {}
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                inputs = self.clips.batch(rows[start : start + _BATCH].tolist()).to(self.device)
                if augmented:
                    inputs = augment(inputs, self.recipe.augmentation, self.own)
                sequences = compute_features(inputs, self.recipe.frontend)
                values.append(sequences.values)
                lengths.append(sequences.lengths)
                for name, taught in self._extra(inputs).items():
                    extra.setdefault(name, []).append(taught)
        index = torch.from_numpy(rows).to(self.device)
        return Batch(
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


def grouped(shares: Sequence[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Shares, without empty ones, that are loaded together: about `most` clips.

    Cut where loading begins a batch of its own, if that comes in time: the same random numbers are drawn then.
    """
    group: list[Tensor] = []
    clips = 0
    for share in shares:
        if not len(share):
            continue
        group.append(share)
        clips += len(share)
        if (clips >= most and clips % _BATCH == 0) or clips >= 2 * most:
            yield group
            group, clips = [], 0
    if group:
        yield group


def joined(batches: Sequence[Tensor]) -> Tensor:
    """One after the other, (N, T, ...), padded with NaN to the longest."""
    longest = max(batch.shape[1] for batch in batches)
    return torch.cat([nn.functional.pad(b, (0, 0, 0, longest - b.shape[1]), value=torch.nan) for b in batches])
