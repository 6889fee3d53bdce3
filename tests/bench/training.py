"""Clips a second of `training.fit` against a plain PyTorch loop with a DataLoader, of the same model, per recipe.

The plain loop is what people write: a Dataset that computes a clip's features when it is asked for (as numpy, augmented
where the recipe augments), a DataLoader without worker processes, the same model, loss and optimiser, an evaluation of
the stop part after each epoch. Both train the same epochs on the same made-up clips, one thread each, in turns.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sigflow.data.augment import Augmentation, augment
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets, make_targets, vocabulary, words
from sigflow.features.frontend import Sequences, compute_features
from sigflow.losses import Ctc, classification_loss, ctc_loss
from sigflow.models.portfolio import Portfolio
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel
from sigflow.optim import make_optimiser
from sigflow.recipes.catalogue import RECIPES
from sigflow.recipes.recipe import Recipe
from sigflow.training import build, fit
from tests.recipes.test_catalogue import FRAMES, fitted, moving_clips

EPOCHS, REPEATS = 3, 3


class PlainClips(Dataset[tuple[torch.Tensor, int]]):
    """One clip's features at a time."""

    def __init__(self, recipe: Recipe, clips: Clips, rows: np.ndarray, *, augmented: bool) -> None:
        self.recipe, self.clips, self.rows = recipe, clips, rows
        self.augmented = augmented and recipe.augmentation != Augmentation()
        self.generator = torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int]:
        row = int(self.rows[item])
        inputs = self.clips.batch([row])
        if self.augmented:
            inputs = augment(inputs, self.recipe.augmentation, self.generator)
        sequences = compute_features(inputs, self.recipe.frontend)
        return sequences.values[0, : int(sequences.lengths[0])], row


def collate(batch: list[tuple[torch.Tensor, int]]) -> tuple[Sequences, torch.Tensor]:
    """Padded with NaN."""
    values = torch.nn.utils.rnn.pad_sequence([clip for clip, _ in batch], batch_first=True, padding_value=torch.nan)
    return Sequences(values, torch.tensor([len(clip) for clip, _ in batch])), torch.tensor([row for _, row in batch])


def plain_loop(recipe: Recipe, clips: Clips, labels: tuple[str, ...], fold: Fold) -> None:
    """Train every gradient-trained member for EPOCHS."""
    torch.manual_seed(0)
    targets = make_targets(words(clips, sentences=recipe.sentences), labels)
    model = build(recipe, len(labels))
    loaders = {
        role: DataLoader(
            PlainClips(recipe, clips, rows, augmented=role == "train"),
            batch_size=recipe.train.batch_size, shuffle=role == "train", collate_fn=collate,
        )
        for role, rows in (("train", fold.train), ("stop", fold.stop))
    }  # fmt: skip
    model.scaler.fit(torch.cat([batch.values.flatten(0, 1)[None] for batch, _ in loaders["train"]], 1))
    members = model.model.members if isinstance(model.model, Portfolio) else [model.model]
    for member in members:
        alone = model.only(member) if isinstance(model.model, Portfolio) else model
        if isinstance(member, RocketModel):
            whole, rows = collate([loaders["train"].dataset[i] for i in range(len(fold.train))])
            x, lengths, _ = alone.prepare(whole)
            member.fit(x, lengths, targets.glosses[rows, 0])
            continue
        optimiser = make_optimiser(alone, recipe.optim)
        for _ in range(EPOCHS):
            alone.train()
            for batch, rows in loaders["train"]:
                loss = loss_of(alone, batch, targets.take(rows), recipe, len(labels)).mean()
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(alone.parameters(), recipe.optim.clip_norm)
                optimiser.step()
            alone.eval()
            with torch.no_grad():
                for batch, rows in loaders["stop"]:
                    loss_of(alone, batch, targets.take(rows), recipe, len(labels)).mean().item()


def loss_of(model: Recogniser, batch: Sequences, targets: Targets, recipe: Recipe, classes: int) -> torch.Tensor:
    logits = model.classify(batch)
    if isinstance(recipe.loss, Ctc):
        return ctc_loss(logits, batch.lengths, targets.glosses, targets.lengths, recipe.loss)
    one_hot = torch.nn.functional.one_hot(targets.glosses[:, 0], classes).float()
    return classification_loss(logits, one_hot, recipe.loss, None)


def seconds(function: Callable[..., Any], *arguments: Any) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def measure(recipe: Recipe) -> dict[str, float]:
    """Clips a second of both, of the median of REPEATS turns, and their ratio."""
    recipe = fitted(recipe)
    train = recipe.train.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS})
    recipe = recipe.model_copy(update={"train": train, "mixing": type(recipe.mixing)()})
    clips = moving_clips(recipe, each=60)
    labels = vocabulary(words(clips, sentences=recipe.sentences), blank=recipe.sentences)
    rows = np.arange(len(clips))
    fold = Fold(0, rows[rows % 5 < 3], rows[rows % 5 == 3], rows[rows % 5 == 4][:1])
    turns = [(seconds(fit, recipe, clips, labels, fold), seconds(plain_loop, recipe, clips, labels, fold))
             for _ in range(REPEATS)]  # fmt: skip
    count = len(fold.train) * EPOCHS
    ours, plain = np.median([ours for ours, _ in turns]), np.median([plain for _, plain in turns])
    ratio = float(np.median([plain / ours for ours, plain in turns]))
    return {"fit_clips_per_s": round(count / ours), "plain_clips_per_s": round(count / plain), "ratio": round(ratio, 2)}


def main() -> None:
    """One line per recipe, then all as JSON."""
    torch.set_num_threads(1)
    found = {}
    for name, recipe in RECIPES.items():
        found[name] = measure(recipe)
        print(f"{name}: {found[name]}", flush=True)
    print(json.dumps({"frames": FRAMES, "epochs": EPOCHS, "recipes": found}))


if __name__ == "__main__":
    main()
