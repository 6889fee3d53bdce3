"""What pre-training learns from: labelled clips and unlabelled ones, as batches of features."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sigflow.data.augment import Augmentation
from sigflow.data.clips import Clips
from sigflow.data.targets import make_targets
from sigflow.features.frontend import Sequences
from sigflow.training.parts import Batch, Fitting, grouped, joined


class Material:
    """The clips that are learnt from: those of the train part, then unlabelled ones of nobody in the other parts.

    Features that fit into memory are computed once, others as they are needed, as those of a `Part`.
    """

    def __init__(self, fitting: Fitting, unlabelled: Clips | None) -> None:
        self.fitting = fitting
        self.others: Fitting | None = None
        if unlabelled is not None:
            rows = allowed(fitting, unlabelled)
            nothing = make_targets([fitting.labels[:1]] * len(unlabelled), fitting.labels).to(fitting.device)
            if len(rows):
                fold = replace(fitting.fold, train=rows)
                self.others = replace(fitting, clips=unlabelled.to(fitting.device), targets=nothing, fold=fold)
        both = [each for each in (self.fitting, self.others) if each]
        self.size = sum(len(each.fold.train) for each in both)
        self.most = min(each.clips_at_once for each in both)
        self.augmented = fitting.recipe.augmentation != Augmentation()
        self.whole = self._load(np.arange(self.size), augmented=False) if self.size <= self.most else None

    def sample(self) -> Batch:
        """All of them, not augmented; of many evenly spread ones."""
        if self.whole is not None:
            return self.whole
        rows = np.linspace(0, self.size - 1, max(1, self.most // 8)).round().astype(int)  # k-means makes copies
        return self._load(np.unique(rows), augmented=False)

    def batches(self, shares: Sequence[Tensor]) -> Iterator[Batch]:
        """For each of the `shares`, numbers up to `size`, its clips as they are trained on; nothing for empty ones."""
        device = self.fitting.device
        if self.whole is not None:
            part = self._load(np.arange(self.size), augmented=True) if self.augmented else self.whole
            yield from (part.take(share.to(device)) for share in shares if len(share))
            return
        for group in grouped(shares, self.most):
            loaded = self._load(torch.cat(group).numpy(), augmented=self.augmented)
            places = torch.arange(len(loaded), device=device).split([len(share) for share in group])
            yield from (loaded.take(rows) for rows in places)

    def _load(self, rows: np.ndarray, *, augmented: bool) -> Batch:
        """Padded alike, in the order of `rows`."""
        mine = len(self.fitting.fold.train)
        own = rows < mine
        parts = [self.fitting.load(self.fitting.fold.train[rows[own]], augmented=augmented)] if own.any() else []
        if self.others is not None and not own.all():
            parts.append(self.others.load(self.others.fold.train[rows[~own] - mine], augmented=augmented))
        device = self.fitting.device
        none = self.fitting.targets.take(torch.zeros(len(rows), dtype=torch.int64, device=device))  # not asked for here
        lengths = torch.cat([part.sequences.lengths for part in parts])
        loaded = Batch(
            Sequences(joined([part.sequences.values for part in parts]), lengths), none,
            {name: joined([part.extra[name] for part in parts]) for name in parts[0].extra},
        )  # fmt: skip
        if (own[:-1] >= own[1:]).all():
            return loaded
        order = np.concatenate([np.flatnonzero(own), np.flatnonzero(~own)]).argsort()
        return loaded.take(torch.from_numpy(order).to(device))


def allowed(fitting: Fitting, unlabelled: Clips) -> np.ndarray:
    """Rows of unlabelled clips of people who are not in the stop or test part only; who is unknown may be anyone."""
    subjects, fold = fitting.clips.column("subject"), fitting.fold
    trained = {subjects[row] for row in fold.train}
    judged = {subjects[row] for row in np.concatenate([fold.stop, fold.test])} - trained
    fine = [
        row
        for row, subject in enumerate(unlabelled.column("subject"))
        if subject not in judged and (subject is not None or None in trained)
    ]
    return np.array(fine, int)
