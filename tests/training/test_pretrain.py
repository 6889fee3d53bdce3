"""If these fail, pre-training learns nothing, looks at who is tested, or a killed one ends otherwise.

Shape suffixes: B clips, T frames, P numbers of phonology, U codebooks.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.features.phonology import PhonologyFeatures
from sigflow.models.bilstm import BilstmConfig
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.recipes.ways import Pretraining
from sigflow.storage import Location
from sigflow.training import fit, parts
from sigflow.training.pretrain import masked_frames
from sigflow.training.units import UNKNOWN, find_units
from tests.training.killed import killed_and_resumed

PLAIN = override(
    find_recipe("isolated_gestures").model_copy(
        update={"model": BilstmConfig(per_frame=False, hidden=(16,), dropout=0.1)}
    ),
    ["train.epochs=2", "optim.lr=1e-2", 'augmentation={"noise_sizes": 0.02}'],
)
MASKED = override(PLAIN, ["pretraining.masked_epochs=12", "pretraining.lr=1e-2"])

QUANTISED = ["pretraining.masked_epochs=3", "pretraining.quantiser_epochs=2"]


def posed(clips: Clips) -> Clips:
    """With a body that nobody saw."""
    return replace(clips, parts=clips.parts | {"pose": torch.full((len(clips.time_s_S), 33, 3), torch.nan)})


def test_masked_frames_are_filled_in_better_with_every_epoch(clips: Clips, labels: list[str], fold: Fold) -> None:
    result = fit(MASKED, clips, labels, fold)
    losses = [epoch["stop_loss"] for epoch in result.pretraining]
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0]
    assert [epoch["epoch"] for epoch in result.history] == [1, 2]
    assert fit(PLAIN, clips, labels, fold).history[0]["loss"] != result.history[0]["loss"]


@pytest.mark.slow
def test_a_killed_pretraining_goes_on_and_ends_with_the_same_numbers(
    clips: Clips, labels: list[str], fold: Fold, at: Location
) -> None:
    recipe = override(MASKED, QUANTISED)
    whole = fit(recipe, posed(clips), labels, fold)
    assert [epoch["quantiser"] for epoch in whole.pretraining] == [0, 0, 0, 1, 1]
    for moment in (2, 4, 6):
        resumed = killed_and_resumed(recipe, posed(clips), labels, fold, at, after=moment)
        assert resumed.pretraining == whole.pretraining
        assert resumed.history == whole.history
        at.delete()


def test_unlabelled_clips_are_learnt_from_unless_their_person_is_judged_or_tested(
    clips: Clips, labels: list[str], fold: Fold
) -> None:
    recipe = override(MASKED, ["pretraining.masked_epochs=2", "train.epochs=1"])
    subjects = clips.column("subject")
    with_them, without = (
        fit(recipe, clips, labels, fold, unlabelled=clips.select(rows.tolist()) if rows is not None else None)
        for rows in (fold.test, None)
    )
    assert with_them.pretraining == without.pretraining  # people of the test part: not one is taken
    column = clips.table.schema.get_field_index("subject")
    others = replace(clips, table=clips.table.set_column(column, "subject", [["somebody"] * len(subjects)]))
    assert fit(recipe, clips, labels, fold, unlabelled=others).pretraining != without.pretraining


def test_clips_that_are_too_many_for_memory_are_learnt_from_batch_by_batch(
    clips: Clips, labels: list[str], fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labelled and unlabelled ones mixed, as they would be from memory; augmented ones draw other chances."""
    recipe = override(MASKED, ["pretraining.masked_epochs=3", "augmentation.noise_sizes=0", "train.batch_size=8"])
    column = clips.table.schema.get_field_index("subject")
    others = replace(clips, table=clips.table.set_column(column, "subject", [["somebody"] * len(clips)]))
    monkeypatch.setattr(parts.Part, "sample", lambda part: part.fitting.load(part.rows))  # the scaler's alone is less
    whole = fit(recipe, clips, labels, fold, unlabelled=others)
    loaded: list[int] = []
    load = parts.Fitting.load
    monkeypatch.setattr(parts, "_BATCH", 4)
    monkeypatch.setattr(parts, "NUMBERS_AT_ONCE", 1)

    def counted(self: parts.Fitting, rows: np.ndarray, *, augmented: bool = False) -> parts.Batch:
        loaded.append(len(rows))
        return load(self, rows, augmented=augmented)

    monkeypatch.setattr(parts.Fitting, "load", counted)
    little = fit(recipe, clips, labels, fold, unlabelled=others)
    assert [epoch["loss"] for epoch in little.pretraining] == [epoch["loss"] for epoch in whole.pretraining]
    assert sorted(loaded)[-2] <= 8 < sorted(loaded)[-1] == len(fold.train)  # for the scaler
    assert len(fit(override(recipe, QUANTISED), posed(clips), labels, fold).pretraining) == 5


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_about_the_share_is_masked_and_never_padding(share: float) -> None:
    lengths_B = torch.tensor([40, 40, 7, 1])
    config = Pretraining(share=share, span=4)
    masked_BT = masked_frames(lengths_B, 40, config, torch.Generator().manual_seed(0))
    assert masked_BT.any(1).all()
    assert not (masked_BT & (torch.arange(40) >= lengths_B[:, None])).any()
    many_BT = masked_frames(torch.full((200,), 40), 40, config, torch.Generator().manual_seed(0))
    assert 0.6 * share < float(many_BT.float().mean()) <= share + 0.01


def test_units_are_the_kinds_of_frames_that_there_are() -> None:
    slices = PhonologyFeatures().slices
    torch.manual_seed(0)
    kinds = torch.randn(3, 36) * 5
    which_BT = torch.randint(0, 3, (20, 10))
    values_BTP = kinds[which_BT] + 0.01 * torch.randn(20, 10, 36)
    values_BTP[:, :, slices["right_flexion"]] = torch.nan
    units = find_units(values_BTP, 3, seed=0)
    code_BTU = units.name(values_BTP)
    assert len(units.columns) == 8
    assert (code_BTU[..., 4] == UNKNOWN).all()  # the right hand's shape
    for u in (0, 1, 2, 3):
        pairs = set(zip(which_BT.flatten().tolist(), code_BTU[..., u].flatten().tolist(), strict=True))
        assert len(pairs) == 3  # one code for each kind, whatever its number
