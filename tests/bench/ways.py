"""Ways to train, each with and without, on the same folds: macro-F1 of the test part.

python -m tests.bench.ways --data DIR [--folds 0,1] [--epochs 12]. DIR: landmarks of isolated signs with subjects, some
hundred clips of each of some twenty labels. Every pair has the same clips to test and as many epochs with labels.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, make_folds
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import locate
from sigflow.training import FoldResult, Start, fit

BASE = find_recipe("unified_signs")
WIDE = ('model={"kind":"bilstm","per_frame":false,"projection":%d,"hidden":[%d],"norm":"layer","dropout":0.3}',)
FEW = 3  # labelled clips of each class where labels are scarce
PRETRAINED = ("pretraining.masked_epochs=20",)
THREE_STAGES = ("pretraining.masked_epochs=10", "pretraining.quantiser_epochs=10")


class Bench:
    """One fold, and scores by the name of the way."""

    def __init__(self, clips: Clips, fold: Fold, epochs: int, seed: int) -> None:
        self.clips, self.fold, self.epochs, self.seed = clips, fold, epochs, seed
        self.names = [str(name) for name in clips.column("label")]
        self.labels = sorted(set(self.names))
        self.scores: dict[str, float] = {}

    def recipe(self, *settings: str, epochs: int | None = None) -> Recipe:
        """The base with settings."""
        length = f"train.epochs={epochs or self.epochs}"
        return override(BASE, [length, "train.patience=1000", f"train.seed={self.seed}", *settings])

    def fit(
        self, recipe: Recipe, fold: Fold, *, labels: Sequence[str] | None = None, unlabelled: Clips | None = None,
        start: Start | None = None, name: str = "",
    ) -> FoldResult:  # fmt: skip
        """Train, and keep the score under `name`."""
        begun = time.monotonic()
        result = fit(recipe, self.clips, labels or self.labels, fold, unlabelled=unlabelled, start=start)
        if name:
            self.scores[name] = result.metrics["macro_f1"]
            print(f"{name}: {self.scores[name]:.4f} ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
        return result

    def few(self, rows: np.ndarray, each: int) -> np.ndarray:
        """So many clips of each label."""
        rng = np.random.default_rng(self.seed)
        names = np.array(self.names)[rows]
        chosen = [rng.permutation(rows[names == name])[:each] for name in sorted(set(names.tolist()))]
        return np.sort(np.concatenate(chosen))

    def of(self, rows: np.ndarray, labels: Sequence[str]) -> np.ndarray:
        """Those of these labels."""
        return rows[np.isin(np.array(self.names)[rows], labels)]


def whole_set(bench: Bench) -> None:
    """With all labels."""
    fold = bench.fold
    bench.fit(bench.recipe(), fold, name="plain")
    bench.fit(bench.recipe("optim.ema_decay=0.99"), fold, name="plain, averaged weights (EMA 0.99)")
    lessons = ("curriculum.vocabularies=[4,16]", "curriculum.accuracy=0.8", "curriculum.epochs=3")
    taught = bench.fit(bench.recipe(*lessons, epochs=bench.epochs - 4), fold, name="curriculum 4, 16, all")
    bench.scores["curriculum: epochs of lessons"] = len(taught.history) - (bench.epochs - 4)
    bench.fit(bench.recipe(*PRETRAINED), fold, name="masked pre-training, then all labels")


def few_labels(bench: Bench) -> None:
    """Most training clips have no label."""
    labelled = bench.few(bench.fold.train, FEW)
    others = bench.clips.select(np.setdiff1d(bench.fold.train, labelled).tolist())
    fold, epochs = replace(bench.fold, train=labelled), 4 * bench.epochs
    bench.fit(bench.recipe(epochs=epochs), fold, name=f"{FEW} labels a class")
    for settings, words in ((PRETRAINED, "masked pre-training"), (THREE_STAGES, "masked, then quantiser")):
        bench.fit(
            bench.recipe(*settings, epochs=epochs), fold, unlabelled=others,
            name=f"{FEW} labels a class, {words} on the other clips",
        )  # fmt: skip


def other_labels(bench: Bench) -> None:
    """Half of the labels are new, and have few clips."""
    old, new = bench.labels[::2], bench.labels[1::2]
    parts = {role: getattr(bench.fold, role) for role in ("train", "stop", "test")}
    before = Fold(bench.fold.number, **{role: bench.of(rows, old) for role, rows in parts.items()})
    after = Fold(bench.fold.number, **{role: bench.of(rows, new) for role, rows in parts.items()})
    after = replace(after, train=bench.few(after.train, FEW))
    big = bench.fit(bench.recipe(), before, labels=old)
    start = Start(big.weights, old, bench.recipe())
    epochs = 4 * bench.epochs
    bench.fit(bench.recipe(epochs=epochs), after, labels=new, name=f"new labels, {FEW} clips each, from nothing")
    tuned = bench.recipe(epochs=epochs)
    bench.fit(tuned, after, labels=new, start=start, name=f"new labels, {FEW} clips each, fine-tuned from the others")


def widening(bench: Bench) -> None:
    """128, 160 and 192 units, a third of the epochs each, or from the start."""

    def wide(width: int, epochs: int) -> Recipe:
        return bench.recipe(WIDE[0] % (width, width), "optim.lr=1e-3", epochs=epochs)

    bench.fit(wide(128, bench.epochs), bench.fold, name="128 units")
    bench.fit(wide(192, bench.epochs), bench.fold, name="192 units")
    start = None
    for width in (128, 160, 192):
        recipe = wide(width, bench.epochs // 3)
        name = "192 units, widened from 128 over 160" if width == 192 else ""
        result = bench.fit(recipe, bench.fold, start=start, name=name)
        start = Start(result.weights, bench.labels, recipe)


def main() -> None:
    """The table, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--folds", default="0,1")
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    clips = load_clips(locate(args.data), BASE.parts)
    names = [str(name) for name in clips.column("label")]
    folds = make_folds(names, clips.column("subject"), clips.column("split"), spec="5").folds
    tables = []
    for number in map(int, args.folds.split(",")):
        bench = Bench(clips, folds[number], args.epochs, seed=number)
        for part in (whole_set, few_labels, other_labels, widening):
            part(bench)
        tables.append(bench.scores)
    mean = {name: round(float(np.mean([table[name] for table in tables])), 4) for name in tables[0]}
    print(json.dumps({"mean": mean, "folds": tables}, indent=1))


if __name__ == "__main__":
    main()
