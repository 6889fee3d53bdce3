"""If these fail, what was trained on all clips was trained for the wrong time, on the wrong people, or by chance."""

import json

import numpy as np
import pytest
import torch

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.errors import UserError
from sigflow.monitors import Epoch
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.training import Whole, fit, fit_whole
from sigflow.training.course import Course, courses_of
from tests.training.test_fold import with_noise

SMALL = override(find_recipe("isolated_gestures"), ["model.hidden=[16, 8]", "model.dense=8"])


def epochs(*losses: float, **more: float) -> list[Epoch]:
    return [{"epoch": number, "stop_loss": loss, **more} for number, loss in enumerate(losses, 1)]


def whole(recipe: Recipe, clips: Clips, labels: list[str], rows: np.ndarray, count: int) -> Whole:
    return fit_whole(recipe, clips, labels, rows, [Course(epochs=count)], number=5)


def same(a: Whole, b: Whole) -> bool:
    return a.history == b.history and all(torch.equal(weight, b.weights[name]) for name, weight in a.weights.items())


def test_it_lasts_as_long_as_the_folds_best_epochs_do_in_the_mean() -> None:
    folds = [epochs(3, 2, 1, 2), epochs(3, 1, 2, 2, 2, 2), epochs(3, 2, 2, 2, 2, 2, 0.5)]  # best: 3, 2, 7
    assert courses_of(SMALL, 3, folds) == (Course(epochs=4),)
    assert courses_of(override(SMALL, ["train.min_delta=0.75"]), 3, folds) == (Course(epochs=4),)
    assert courses_of(override(SMALL, ["train.min_delta=10"]), 3, folds) == (Course(epochs=1),)


def test_each_member_of_a_portfolio_and_each_lesson_lasts_as_long_as_in_the_folds() -> None:
    portfolio = find_recipe("any_sequence")
    members = [epochs(1, member=0) + epochs(2, 1, member=1) + epochs(3, 2, 1, member=2)] * 2
    assert [course.epochs for course in courses_of(portfolio, 3, members)] == [1, 2, 3]
    schooled = override(SMALL, ["curriculum.vocabularies=[2]"])
    first, rest = epochs(0, 0, vocabulary=2), epochs(2, 1, 3, vocabulary=3)
    assert courses_of(schooled, 3, [first + rest, [*first, *first, *rest]]) == (Course(epochs=2, lessons=((2, 3),)),)


def test_the_same_clips_give_the_same_model_whoever_is_held_out(clips: Clips, labels: list[str], fold: Fold) -> None:
    """And it learns: from all clips but those of one part, which may hold anything."""
    rows = np.concatenate([fold.train, fold.stop])
    learnt = whole(SMALL, clips, labels, rows, 12)
    assert len(learnt.history) == 12
    assert learnt.history[-1]["loss"] < 0.7 * learnt.history[0]["loss"]
    torch.rand(3)
    assert same(whole(SMALL, with_noise(clips, fold.test), labels, rows, 12), learnt)
    assert not same(whole(SMALL, clips, labels, fold.train, 12), learnt)


def test_the_rate_falls_to_the_end_of_the_course_whatever_was_planned(
    clips: Clips, labels: list[str], fold: Fold
) -> None:
    """One that ends in the middle of its fall leaves the model wherever the last large step threw it."""
    short, long, waiting, constant = (
        whole(override(SMALL, [f"optim.schedule={schedule}", f"train.epochs={planned}"]), clips, labels, fold.train, 4)
        for schedule, planned in (("cosine", 4), ("cosine", 200), ("plateau", 200), ("constant", 200))
    )
    assert same(short, long)
    assert same(short, waiting)  # nobody can say when the loss stands still
    assert not same(short, constant)


def test_pretraining_and_refit_epochs_are_gone_through_as_in_a_fold(
    clips: Clips, labels: list[str], fold: Fold
) -> None:
    recipe = override(
        find_recipe("unified_signs"),
        ['frontend.features=[{"kind": "hand", "centre": "frame"}]', "model.hidden=[8]", "augmentation={}",
         "pretraining.masked_epochs=1"],
    )  # fmt: skip
    plain = whole(override(recipe, ["pretraining.masked_epochs=0"]), clips, labels, fold.train, 1)
    pretrained = whole(recipe, clips, labels, fold.train, 1)
    longer = whole(override(recipe, ["train.refit_epochs=1"]), clips, labels, fold.train, 1)
    weights = [next(iter(each.weights[name] for name in each.weights if "model" in name)) for each in
               (plain, pretrained, longer)]  # fmt: skip
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])


def test_a_portfolio_has_the_shares_that_its_folds_found(clips: Clips, labels: list[str], fold: Fold) -> None:
    members = [{"kind": "lstm", "hidden": [8], "dense": 8}, {"kind": "mlp", "hidden": [8], "dropout": [0.0]}]
    recipe = override(
        find_recipe("isolated_gestures"),
        [f"model={json.dumps({'kind': 'portfolio', 'members': members})}"],
    )
    courses = [Course(epochs=1), Course(epochs=2)]
    found = fit_whole(recipe, clips, labels, fold.train, courses, (0.25, 0.75), number=5)
    assert found.weights["model.weights"].tolist() == [0.25, 0.75]
    assert [epoch["member"] for epoch in found.history] == [0, 1, 1]
    assert found.weights.keys() == fit(override(recipe, ["train.epochs=1"]), clips, labels, fold).weights.keys()


def test_a_loss_that_is_no_number_ends_it(clips: Clips, labels: list[str], fold: Fold) -> None:
    recipe = override(SMALL, ["optim.lr=1e30", "optim.clip_norm=1e30"])
    with pytest.raises(UserError, match="all clips diverged in epoch"):
        whole(recipe, clips, labels, fold.train, 20)
