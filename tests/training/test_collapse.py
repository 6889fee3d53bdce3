"""If these fail, a training that has collapsed goes on for hours, or a healthy one is ended.

Each collapse is a real training in which something is wrong on purpose. `LIMIT` is the epoch by which it must be said:
the monitors' grace and patience, 20 + 10 with the default settings and 45 epochs, whatever the collapse.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets, vocabulary
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.training import FoldResult, descent, fit

EPOCHS, LIMIT = ("train.epochs=45", "train.patience=45"), 30
GESTURES = override(find_recipe("isolated_gestures"), [*EPOCHS, "model.hidden=[16]", "model.dense=8"])
SENTENCES = override(
    find_recipe("continuous_signs"),
    [*EPOCHS, 'frontend.features=[{"kind": "raw", "channels": 4}]', "model.projection=null", "model.hidden=[16]",
     "train.batch_size=8", "optim.lr=1e-2", "augmentation={}", "monitors={}", "train.stop_on=loss"],
)  # fmt: skip
WEIGHTED = override(
    find_recipe("isolated_gestures"),
    [*EPOCHS, 'frontend.features=[{"kind": "raw", "channels": 6}]', "frontend.resampling.num_frames=null",
     'model={"kind": "mlp", "hidden": [32], "dropout": [0.2]}', "loss.class_weights=true"],
)  # fmt: skip


def codes(result: FoldResult) -> list[str]:
    return [alarm.code for alarm in result.alarms]


def assert_ended(result: FoldResult, code: str) -> None:
    """With this alarm, in time, and at once."""
    assert codes(result) == [code]
    assert result.alarms[0].stops
    assert result.alarms[0].epoch <= LIMIT
    assert len(result.history) == result.alarms[0].epoch


def made_clips(shown: Sequence[Sequence[int]], strength: float, **columns: pa.Array | list[object]) -> Clips:
    """Noise of one channel per class; in each frame of each clip that of the class in `shown` is raised, -1: none."""
    generator = torch.Generator().manual_seed(0)
    channels = 1 + max(max(classes) for classes in shown)
    frames = []
    for classes in shown:
        raised_TC = torch.nn.functional.one_hot(torch.tensor(classes) + 1, channels + 1)[:, 1:]
        frames.append(torch.randn(raised_TC.shape, generator=generator) + strength * raised_TC)
    lengths = torch.tensor([0, *map(len, frames)])
    table = pa.table({"clip_id": [f"{i:03d}" for i in range(len(frames))], "subject": ["a"] * len(frames), **columns})
    time_s_S = torch.cat([torch.arange(len(clip)) / 25 for clip in frames])
    return Clips(table, lengths.cumsum(0), time_s_S, torch.ones(len(frames)), {"raw": torch.cat(frames)})


def standing_still(clips: Clips) -> Clips:
    """Every frame of every clip is the first one."""
    return replace(clips, parts={part: points[:1].expand_as(points) for part, points in clips.parts.items()})


def test_constant_features_are_a_collapse_by_epoch_30(clips: Clips, labels: list[str], fold: Fold) -> None:
    right = clips.parts["right_hand"][:1]
    frozen = replace(clips, parts={part: right.expand_as(points) for part, points in clips.parts.items()})
    assert_ended(fit(GESTURES, frozen, labels, fold), "collapse")


def test_a_collapse_is_said_before_a_short_patience_ends_the_fold(clips: Clips, labels: list[str], fold: Fold) -> None:
    right = clips.parts["right_hand"][:1]
    frozen = replace(clips, parts={part: right.expand_as(points) for part, points in clips.parts.items()})
    assert_ended(fit(override(GESTURES, ["train.patience=10"]), frozen, labels, fold), "collapse")


def test_gestures_that_differ_are_none(clips: Clips, labels: list[str], fold: Fold) -> None:
    assert codes(fit(GESTURES, clips, labels, fold)) == []


def sentences(*, frames: int, glosses: tuple[int, int], sign: int) -> tuple[Clips, tuple[str, ...], Fold]:
    """80 sentences of some of 4 glosses, each gloss shown for `sign` frames somewhere in its share of all frames."""
    rng = np.random.default_rng(0)
    chosen = [rng.integers(0, 4, rng.integers(glosses[0], glosses[1] + 1)).tolist() for _ in range(80)]
    shown = []
    for sentence in chosen:
        classes, share = [-1] * frames, frames // len(sentence)
        for place, gloss in enumerate(sentence):
            start = place * share + int(rng.integers(1, share - sign))
            classes[start : start + sign] = [gloss] * sign
        shown.append(classes)
    names = [["abcd"[gloss] for gloss in sentence] for sentence in chosen]
    clips = made_clips(shown, 3.0, label=pa.nulls(80, pa.string()), glosses=names)
    return clips, vocabulary(names, blank=True), Fold(0, *np.split(np.arange(80), [48, 64]))


def test_sentences_in_which_nothing_is_signed_end_as_blank_by_epoch_30() -> None:
    clips, labels, fold = sentences(frames=48, glosses=(1, 3), sign=5)
    assert_ended(fit(SENTENCES, standing_still(clips), labels, fold), "blank")


@pytest.mark.slow
def test_sentences_that_are_signed_are_not_blank() -> None:
    clips, labels, fold = sentences(frames=48, glosses=(1, 3), sign=5)
    result = fit(SENTENCES, clips, labels, fold)
    assert codes(result) == []
    assert result.metrics["wer"] < 0.5


@pytest.mark.slow
def test_one_sign_in_a_long_clip_is_not_blank_though_most_of_its_frames_are() -> None:
    clips, labels, fold = sentences(frames=80, glosses=(1, 1), sign=10)
    result = fit(SENTENCES, clips, labels, fold)
    assert codes(result) == []
    assert min(epoch["stop_blank_ratio"] for epoch in result.history[LIMIT - 10 : LIMIT]) > 0.97


def imbalanced() -> tuple[Clips, list[str], Fold]:
    """Six classes that overlap: the first only in the test part, the fourth rare."""
    counts = (2, 100, 100, 5, 100, 100)
    classes_N = np.random.default_rng(0).permutation(np.repeat(np.arange(6), counts))
    names = [f"class {k}" for k in range(6)]
    clips = made_clips([[int(k)] * 8 for k in classes_N], 0.8, label=[names[k] for k in classes_N])
    rows = [np.flatnonzero(classes_N == k) for k in range(1, 6)]
    train, stop, test = zip(*(np.split(each, [len(each) * 3 // 5, len(each) * 4 // 5]) for each in rows), strict=True)
    tested = np.concatenate([*test, np.flatnonzero(classes_N == 0)])
    return clips, names, Fold(0, *(np.sort(part) for part in (np.concatenate(train), np.concatenate(stop), tested)))


def weights_by_position(targets: Targets, num_classes: int) -> Tensor:
    """The earlier system's mistake: the weight of the n-th class that occurs goes to class n."""
    counts = targets.glosses[:, 0].unique(return_counts=True)[1]
    weight_K = torch.zeros(num_classes)
    weight_K[: len(counts)] = len(targets.glosses) / (num_classes * counts)
    return weight_K


@pytest.mark.slow
def test_class_weights_by_position_leave_classes_unanswered_by_epoch_30(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "class_weights", weights_by_position)
    result = fit(WEIGHTED, *imbalanced())
    assert codes(result) == ["unanswered"]
    assert result.alarms[0].epoch <= LIMIT


@pytest.mark.slow
def test_class_weights_by_index_are_no_reason_for_alarm() -> None:
    assert codes(fit(WEIGHTED, *imbalanced())) == []
