"""If these fail, a set that is too large for memory is trained on other numbers, or loses clips on the way."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sigflow.data import spool
from sigflow.data.augment import Augmentation
from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold
from sigflow.data.sentences import compose
from sigflow.data.targets import vocabulary, words
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import Location
from sigflow.training import fit, parts

PLAIN = override(
    find_recipe("isolated_gestures"), ["train.epochs=3", "model.hidden=[8]", "model.dense=8", "train.batch_size=8"]
)
AUGMENTED = PLAIN.model_copy(update={"augmentation": Augmentation(noise_sizes=0.02)})


@pytest.fixture
def mapped(gesture_landmarks: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clips:
    monkeypatch.setenv("SIGFLOW_SPOOL", str(tmp_path))
    monkeypatch.setattr(spool, "MEMORY_SHARE", 0.0)
    return load_clips(gesture_landmarks, PLAIN.parts)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr(parts, "_BATCH", 4)


@pytest.mark.parametrize("recipe", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
def test_little_memory_changes_no_number(
    recipe: Recipe, clips: Clips, labels: list[str], fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_BATCH", 4)
    much = fit(recipe, clips, labels, fold)
    monkeypatch.setattr(parts, "NUMBERS_AT_ONCE", 1)  # four clips at once, of twelve and more
    little = fit(recipe, clips, labels, fold)
    # The scaler alone looks at fewer clips; with the same one every number is the same.
    assert len(little.test_probs) == len(much.test_probs) == len(fold.test)
    monkeypatch.setattr(parts.Part, "sample", lambda part: part.fitting.load(part.rows))
    assert fit(recipe, clips, labels, fold).history == much.history


@pytest.mark.parametrize("recipe", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
def test_clips_that_are_mapped_from_disk_train_the_same_model(
    recipe: Recipe, clips: Clips, labels: list[str], fold: Fold, mapped: Clips
) -> None:
    assert mapped.spool is not None
    mine, theirs = fit(recipe, mapped, labels, fold), fit(recipe, clips, labels, fold)
    assert mine.history == theirs.history
    assert all(torch.equal(weight, theirs.weights[name]) for name, weight in mine.weights.items())
    assert len(mine.test_probs) == len(fold.test)
    assert all(np.array_equal(a, b) for a, b in zip(mine.test_probs, theirs.test_probs, strict=True))


@pytest.mark.usefixtures("little_memory")
def test_no_clip_is_lost_or_seen_twice(clips: Clips, labels: list[str], fold: Fold) -> None:
    loaded: list[int] = []
    whole = parts.Fitting.load

    def load(self: parts.Fitting, rows: np.ndarray, *, augmented: bool = False) -> parts.Batch:
        loaded.extend(rows.tolist())
        assert len(rows) <= 8
        return whole(self, rows, augmented=augmented)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts.Fitting, "load", load)
        fit(override(AUGMENTED, ["train.epochs=1"]), clips, labels, fold)
    counts = np.bincount(loaded, minlength=len(clips))
    assert (counts[fold.test] == 1).all()
    assert (counts[fold.stop] == 1).all()
    assert ((counts[fold.train] == 1) | (counts[fold.train] == 2)).all()  # once, and some for the scaler
    assert torch.tensor(counts).sum() >= len(clips)


def test_sentences_that_are_judged_a_few_at_a_time_get_the_same_figures(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentences = compose(clips, 40, glosses=(1, 2))
    recipe = override(
        find_recipe("continuous_signs"),
        ['frontend.features=[{"kind": "hand"}]', "model.projection=null", "model.hidden=[8]", "augmentation={}",
         "train.epochs=2", "train.bucket_batches=2"],
    )  # fmt: skip
    labels = vocabulary(words(sentences, sentences=True), blank=True)
    fold = Fold(0, *np.split(np.arange(40), [20, 31]))
    monkeypatch.setattr(parts.Part, "sample", lambda part: part.fitting.load(part.rows))
    monkeypatch.setattr(parts, "_BATCH", 4)
    whole = fit(recipe, sentences, labels, fold)
    monkeypatch.setattr(parts, "NUMBERS_AT_ONCE", 1)
    little = fit(recipe, sentences, labels, fold)
    for mine, theirs in zip(little.history, whole.history, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    assert [len(probs_TK) for probs_TK in little.test_probs] == [len(probs_TK) for probs_TK in whole.test_probs]
