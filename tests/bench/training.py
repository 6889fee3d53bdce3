"""Clips a second of `training.fit`, per recipe: against a plain loop, in bfloat16, in batches of similar lengths.

The plain loop is what people write: a Dataset that computes a clip's features when it is asked for (as numpy, augmented
where the recipe augments), a DataLoader without worker processes, the same model, loss and optimiser, an evaluation of
the stop part after each epoch. Both train the same epochs on the same made-up clips, one thread each, in turns.
`train.precision=bf16` and `train.bucket_batches` are measured against `fit` as it is; the former on a GPU too, if there
is one. Sentences have 20 to 400 frames.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import DataLoader, Dataset

from sigflow.data.augment import Augmentation, augment
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets, make_targets, vocabulary, words
from sigflow.features.frontend import Sequences, compute_features, input_shapes
from sigflow.losses import Ctc, classification_loss, ctc_loss
from sigflow.models.portfolio import Portfolio
from sigflow.models.recogniser import Recogniser
from sigflow.models.rocket import RocketModel
from sigflow.optim import make_optimiser
from sigflow.recipes.catalogue import RECIPES
from sigflow.recipes.recipe import Recipe, override
from sigflow.training import build, fit
from sigflow.training.batches import draw_batches
from tests.recipes.test_catalogue import FRAMES, fitted, moving_clips

EPOCHS, REPEATS = 3, 3
BUCKETS = 8
IN_BF16 = ("isolated_gestures", "unified_signs", "lip_reading_v3")


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


def measure_precision(recipe: Recipe, device: torch.device) -> dict[str, float]:
    """How many times as fast as float32 bfloat16 is, median of REPEATS turns; macro-F1 of the test part with both."""
    recipe = override(fitted(recipe), ["train.epochs=12", "train.patience=12"])
    clips = moving_clips(recipe, each=40)
    labels = vocabulary(words(clips, sentences=False), blank=False)
    rows = np.arange(len(clips))
    fold = Fold(0, rows[rows % 5 < 3], rows[rows % 5 == 3], rows[rows % 5 == 4])
    both = [override(recipe, [f"train.precision={name}"]) for name in ("fp32", "bf16")]
    scores = [fit(each, clips, labels, fold, device=device).metrics["macro_f1"] for each in both]
    times = [[seconds(partial(fit, each, clips, labels, fold, device=device)) for each in both] for _ in range(REPEATS)]
    ratio = float(np.median([full / half for full, half in times]))
    return {"ratio": round(ratio, 2), "fp32_macro_f1": round(scores[0], 3), "bf16_macro_f1": round(scores[1], 3)}


def measure_buckets(augmented: bool) -> dict[str, float]:
    """Padding, and seconds of an epoch, of `continuous_signs` with and without batches of similar lengths."""
    recipe = override(fitted(RECIPES["continuous_signs"]), [f"train.epochs={EPOCHS}", f"train.patience={EPOCHS}"])
    recipe = recipe if augmented else recipe.model_copy(update={"augmentation": Augmentation()})
    clips = sentences_of_many_lengths(recipe)
    labels = vocabulary(words(clips, sentences=True), blank=True)
    rows = np.arange(len(clips))
    fold = Fold(0, rows[:-20], rows[-20:-1], rows[-1:])
    ways = {
        1: override(recipe, ["train.bucket_batches=1"]),
        BUCKETS: override(recipe, [f"train.bucket_batches={BUCKETS}"]),
    }
    times = [[seconds(fit, each, clips, labels, fold) / EPOCHS for each in ways.values()] for _ in range(REPEATS)]
    plain, similar = np.median(times, 0)
    lengths_N = clips.offsets.diff()
    shares = []
    for each in ways.values():
        drawn = draw_batches(torch.from_numpy(fold.train), lengths_N, each.train, torch.Generator().manual_seed(0))
        shares.append(1 - int(lengths_N[fold.train].sum()) / sum(len(b) * int(lengths_N[b].max()) for b in drawn))
    return {"plain_padding": round(shares[0], 2), "similar_padding": round(shares[1], 2), "plain_s": round(plain, 2),
            "similar_s": round(similar, 2), "ratio": round(plain / similar, 2)}  # fmt: skip


def sentences_of_many_lengths(recipe: Recipe, count: int = 340) -> Clips:
    """Noise: how long training takes does not depend on what is in it."""
    generator = torch.Generator().manual_seed(0)
    lengths_N = torch.randint(20, 401, (count,), generator=generator)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths_N.cumsum(0)])
    frames, shapes = int(offsets[-1]), input_shapes([recipe.frontend])
    table = pa.table({"clip_id": [f"{row:03d}" for row in range(count)], "subject": ["somebody"] * count,
                      "glosses": [[f"g{row % 7}", f"g{row % 5}"] for row in range(count)]})  # fmt: skip
    return Clips(
        table, offsets, torch.cat([torch.arange(int(length)) / 25 for length in lengths_N]), torch.ones(count),
        {part: torch.rand(frames, *shape, generator=generator) for part, shape in shapes.items()},
    )  # fmt: skip


def main() -> None:
    """One line per recipe and way, then all as JSON."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, Any]] = {}

    def told(what: str, name: str, figures: dict[str, float]) -> None:
        found.setdefault(what, {})[name] = figures
        print(f"{what}, {name}: {figures}", flush=True)

    for name, recipe in RECIPES.items():
        told("recipes", name, measure(recipe))
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for name in IN_BF16:
            told(f"bf16 on {device}", name, measure_precision(RECIPES[name], torch.device(device)))
    for name, augmented in (("as it is", True), ("without augmentation", False)):
        told(f"bucket_batches={BUCKETS}", f"continuous_signs {name}", measure_buckets(augmented))
    print(json.dumps({"frames": FRAMES, "epochs": EPOCHS, **found}))


if __name__ == "__main__":
    main()
