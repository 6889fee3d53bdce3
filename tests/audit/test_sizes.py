"""If these fail, a run that cannot mean anything starts all the same, and its figures are believed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigflow.audit import audit, make_plan
from sigflow.audit.sizes import trained_parameters
from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, Folds
from sigflow.landmarks.synthetic import GESTURES, SUBJECTS
from sigflow.models.recogniser import PortfolioConfig
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location
from tests.audit.conftest import Find
from tests.audit.spoil import raw_clips, rows_of, with_column


def test_clean_clips_have_no_error_and_no_warning(good: Clips, find: Find) -> None:
    assert {finding.severity for finding in find(good).values()} <= {"info"}


def test_the_gesto_set_up_is_refused(good: Clips, find: Find) -> None:
    """3 actions, 30 clips each, one person, 5 clips to validate and judge by, 46,339 parameters."""
    rows = [row for label in ("open_close", "pinch", "point") for row in rows_of(good, label=label)[:30]]
    clips = with_column(good.select(rows), "subject", ["me"] * 90)
    order = np.random.default_rng(0).permutation(90)
    split = np.array(["train"] * 90, object)
    split[order[:5]], split[order[5:10]] = "val", "test"
    found = find(with_column(clips, "split", split.tolist()), folds="split")
    assert found["small_test_fold"].severity == "error"
    assert "fold 0: 5" in found["small_test_fold"].evidence
    assert found["small_stop_part"].severity == "warning"
    assert "30" in found["few_clips"].evidence
    assert "not_subject_independent" in found


def test_the_asl_set_up_is_refused(good: Clips) -> None:
    """20 training and 10 validation clips of 2 glosses, 2,001 outputs, BiLSTM of 128 x 2, 1,178,961 parameters."""
    clips = good.select([*rows_of(good, label="open_close")[:20], *rows_of(good, label="pinch")[:20]])
    clips = with_column(clips, "glosses", [[str(name).upper()] for name in clips.column("label")])
    recipe = override(
        find_recipe("continuous_signs"),
        ['frontend.features=[{"kind": "hand"}]', "model.hidden=[128, 128]"],
    )
    split = [["train", "train", "val", "test"][row % 4] for row in range(40)]
    plan = make_plan(recipe, with_column(clips, "split", split), folds_spec="split")
    glosses = tuple(f"GLOSS{i}" for i in range(1998))
    found = {finding.code: finding for finding in audit(replace(plan, labels=(*plan.labels, *glosses)))}
    assert found["unseen_outputs"].severity == "error"
    assert "1,998 of 2,001 outputs" in found["unseen_outputs"].evidence
    assert found["too_many_parameters"].severity == "error"
    assert "for 20 training clips" in found["too_many_parameters"].evidence


def test_parameters_are_those_that_gradients_move(good: Clips) -> None:
    plan = make_plan(find_recipe("isolated_gestures"), good)
    # LSTM 63 -> 64, LSTM 64 -> 32, each with two biases of torch's; dense 32 -> 32 -> 3.
    assert trained_parameters(plan) == 4 * 64 * (63 + 64 + 2) + 4 * 32 * (64 + 32 + 2) + 32 * 33 + 3 * 33
    rocket = override(find_recipe("isolated_gestures"), ['model={"kind": "rocket"}', "augmentation={}"])
    assert trained_parameters(make_plan(rocket, good)) == 0


def test_a_portfolio_counts_its_largest_member_and_only_warns_with_a_closed_form_one(find: Find) -> None:
    clips = raw_clips(
        [np.random.default_rng(i).normal(i % 2, 1, (40, 6)) for i in range(40)], ["a", "b"] * 20, [None] * 40
    )
    found = find(clips, "any_sequence", folds="random:4")
    assert found["too_many_parameters"].severity == "warning"
    assert not [finding for finding in found.values() if finding.severity == "error"]
    config = find_recipe("any_sequence")
    assert isinstance(config.model, PortfolioConfig)
    trained = tuple(member for member in config.model.members if member.kind != "rocket")
    alone = config.model_copy(update={"model": PortfolioConfig(members=trained)})
    found = find(clips, alone, folds="random:4")
    assert found["too_many_parameters"].severity == "error"


def test_a_fold_with_one_clip_of_a_class_or_none_to_train_on_is_found(good: Clips) -> None:
    plan = make_plan(find_recipe("isolated_gestures"), good)
    names = np.array(good.column("label"))
    first, *others = np.flatnonzero(names == "pinch").tolist()
    rest = np.flatnonzero(names != "pinch")
    test = np.sort(np.append(rest[:40], first))
    none = np.array([], int)
    train = np.append(rest[80:], others[9:])
    lonely = replace(plan, folds=Folds((Fold(0, train, rest[40:80], test),), none, "split", True))
    found = {finding.code: finding for finding in audit(lonely)}
    assert found["lonely_test_class"].severity == "error"
    assert "pinch in fold 0, 78 over all folds" in found["lonely_test_class"].evidence
    assert "untrained_class" not in found
    test = np.sort(np.append(rest[:40], others))
    untrained = replace(plan, folds=Folds((Fold(0, rest[80:], rest[40:80], test),), none, "split", True))
    found = {finding.code: finding for finding in audit(untrained)}
    assert found["untrained_class"].severity == "warning"
    assert "lonely_test_class" not in found


@pytest.mark.parametrize(("takes", "few"), [(75, False), (74, True)])
def test_few_clips_are_fewer_than_75(good: Clips, find: Find, takes: int, few: bool) -> None:
    rows = [row for label in ("open_close", "pinch", "point") for row in rows_of(good, label=label)[:takes]]
    found = find(good.select(rows), folds="random:5")
    assert ("few_clips" in found) == few


def test_a_small_holdout_is_found(good: Clips) -> None:
    rows = sorted({*range(len(good))} - set(rows_of(good, subject="fay")[6:]))
    plan = make_plan(find_recipe("isolated_gestures"), good.select(rows), folds_spec="3", holdout=["fay"])
    assert "small_holdout" in {finding.code for finding in audit(plan)}


def test_the_sample_set_has_no_error_and_one_warning(
    write_gestures: Callable[..., Location], tmp_path: Path, find: Find
) -> None:
    """192 clips, 24 of each gesture: too few of a class, and nothing else."""
    place = write_gestures(tmp_path, subjects=SUBJECTS, gestures=GESTURES, takes=4)
    found = find(load_clips(place, ("left_hand", "right_hand")))
    assert [code for code, finding in found.items() if finding.severity != "info"] == ["few_clips"]
    assert "8 of 8 classes" in found["few_clips"].evidence


def test_forty_clips_are_enough_for_a_recipe_that_is_made_for_them(find: Find) -> None:
    """The usual small benchmark: four classes, ten clips each, five folds of eight clips."""
    clips = raw_clips(
        [np.random.default_rng(i).normal(i % 4, 1, (40, 6)) for i in range(40)], list("abcd") * 10, [None] * 40
    )
    found = find(clips, "any_sequence", folds="random:5")
    assert found["small_test_fold"].severity == "warning"
    assert not [finding for finding in found.values() if finding.severity == "error"]
