"""If these fail, results cannot be repeated, the wrong epoch is kept, or people who are tested leak into weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import Targets
from sigflow.errors import UserError
from sigflow.features.frontend import compute_features
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.training import Epoch, FoldResult, build, fit
from sigflow.training.objective import class_weights

RECIPE = override(
    find_recipe("isolated_gestures"), ["train.epochs=6", "model.hidden=[16, 8]", "model.dense=8", "augmentation={}"]
)


@pytest.fixture(scope="module")
def result(clips: Clips, labels: list[str], fold: Fold) -> FoldResult:
    return fit(RECIPE, clips, labels, fold)


def with_noise(clips: Clips, rows: np.ndarray) -> Clips:
    """Clips whose landmarks are other ones in `rows`."""
    parts = {part: points.clone() for part, points in clips.parts.items()}
    for points in parts.values():
        for row in rows:
            frames = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
            points[frames] = torch.rand(points[frames].shape, generator=torch.Generator().manual_seed(int(row)))
    return replace(clips, parts=parts)


def same(a: FoldResult, b: FoldResult) -> bool:
    return all(torch.equal(weight, b.weights[name]) for name, weight in a.weights.items())


def stop_loss(recipe: Recipe, clips: Clips, labels: list[str], fold: Fold, result: FoldResult) -> float:
    model = build(recipe, len(labels)).eval()
    model.load_state_dict(result.weights)
    logits = model.classify(compute_features(clips.batch(fold.stop.tolist()), recipe.frontend))
    target = torch.tensor([labels.index(str(clips.column("label")[i])) for i in fold.stop])
    return float(torch.nn.functional.cross_entropy(logits, target).detach())


def test_it_learns_the_gestures(clips: Clips, labels: list[str], fold: Fold) -> None:
    learnt = fit(override(RECIPE, ["train.epochs=40"]), clips, labels, fold)
    assert learnt.history[-1]["loss"] < 0.5 * learnt.history[0]["loss"]
    assert learnt.metrics["accuracy"] >= 0.8
    assert np.shape(learnt.test_probs) == (len(fold.test), 3)
    assert np.allclose(np.sum(learnt.test_probs, 1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_history_weights_and_predictions(
    clips: Clips, labels: list[str], fold: Fold, result: FoldResult
) -> None:
    torch.rand(3)  # whatever the caller did before
    again = fit(RECIPE, clips, labels, fold)
    assert again.history == result.history
    assert same(again, result)
    assert np.array_equal(again.test_probs, result.test_probs)


def test_another_seed_gives_another_model(clips: Clips, labels: list[str], fold: Fold, result: FoldResult) -> None:
    other = fit(override(RECIPE, ["train.seed=1"]), clips, labels, fold)
    assert other.history != result.history
    assert not same(other, result)


def test_the_callers_randomness_goes_on_as_if_nothing_had_run(clips: Clips, labels: list[str], fold: Fold) -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    fit(override(RECIPE, ["train.epochs=1"]), clips, labels, fold)
    after = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_the_tested_people_never_influence_the_weights(
    clips: Clips, labels: list[str], fold: Fold, result: FoldResult
) -> None:
    other = fit(RECIPE, with_noise(clips, fold.test), labels, fold)
    assert same(other, result)
    assert other.history == result.history
    assert not np.array_equal(other.test_probs, result.test_probs)


def test_the_stop_part_picks_the_epoch_but_is_never_trained_on(
    clips: Clips, labels: list[str], fold: Fold, result: FoldResult
) -> None:
    other = fit(RECIPE, with_noise(clips, fold.stop), labels, fold)
    assert [epoch["loss"] for epoch in other.history] == [epoch["loss"] for epoch in result.history]
    assert [epoch["stop_loss"] for epoch in other.history] != [epoch["stop_loss"] for epoch in result.history]


def test_the_best_epochs_weights_are_the_ones_that_are_kept(clips: Clips, labels: list[str], fold: Fold) -> None:
    recipe = override(RECIPE, ["optim.lr=0.3", "train.epochs=12"])  # so wild that the last epoch is not the best
    wild = fit(recipe, clips, labels, fold)
    losses = [epoch["stop_loss"] for epoch in wild.history]
    assert wild.best_epoch == 1 + int(np.argmin(losses)) < len(losses)
    assert stop_loss(recipe, clips, labels, fold, wild) == pytest.approx(min(losses), rel=1e-4)
    assert stop_loss(recipe, clips, labels, fold, wild) != pytest.approx(losses[-1], rel=1e-4)


def test_the_epoch_can_be_picked_by_macro_f1(clips: Clips, labels: list[str], fold: Fold) -> None:
    picked = fit(override(RECIPE, ["train.stop_on=macro_f1", "train.epochs=15"]), clips, labels, fold)
    scores = [epoch["stop_macro_f1"] for epoch in picked.history]
    assert picked.best_epoch == 1 + int(np.argmax(scores))


def test_training_ends_when_nothing_improves_any_more(clips: Clips, labels: list[str], fold: Fold) -> None:
    recipe = override(RECIPE, ["train.epochs=50", "train.patience=3", "train.min_delta=1e9"])
    ended = fit(recipe, clips, labels, fold)
    assert (ended.best_epoch, len(ended.history)) == (1, 4)


def test_a_loss_that_is_no_number_ends_with_advice(clips: Clips, labels: list[str], fold: Fold) -> None:
    with pytest.raises(UserError, match=r"fold 1 diverged in epoch \d+: .*lower optim\.lr"):
        fit(override(RECIPE, ["optim.lr=1e37"]), clips, labels, fold)


def test_every_epoch_is_reported_as_it_ends(clips: Clips, labels: list[str], fold: Fold, result: FoldResult) -> None:
    seen: list[Epoch] = []
    fit(RECIPE, clips, labels, fold, report=seen.append)
    assert seen == result.history
    assert [epoch["epoch"] for epoch in seen] == [1, 2, 3, 4, 5, 6]
    assert set(seen[0]) == {
        "epoch", "loss", "accuracy", "grad_norm", "stop_loss", "stop_accuracy", "stop_macro_f1",
        "stop_distinct_predicted", "stop_top_share", "stop_entropy",
    }  # fmt: skip


def test_the_scaler_is_fitted_on_the_trained_people_alone(clips: Clips, fold: Fold, result: FoldResult) -> None:
    train = compute_features(clips.batch(fold.train.tolist()), RECIPE.frontend).values
    assert torch.allclose(result.weights["scaler.mean"], train.flatten(0, 1).nanmean(0), atol=1e-4)


def test_rare_classes_weigh_more_each_at_its_own_index(clips: Clips, labels: list[str], fold: Fold) -> None:
    target = torch.tensor([2, 0, 0, 0, 2, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=target.numpy()) * 3 / 4
    assert torch.allclose(
        class_weights(Targets(target[:, None], torch.ones_like(target)), 4)[[0, 2, 3]].double(),
        torch.from_numpy(expected),
    )
    assert float(class_weights(Targets(target[:, None], torch.ones_like(target)), 4)[1]) == 0.0
    lopsided = replace(
        fold, train=fold.train[np.array([str(clips.column("label")[i]) for i in fold.train]) != labels[0]]
    )
    plain = fit(override(RECIPE, ["train.epochs=1"]), clips, labels, lopsided)
    weighted = fit(override(RECIPE, ["train.epochs=1", "loss.class_weights=true"]), clips, labels, lopsided)
    assert weighted.history[0]["loss"] == pytest.approx(plain.history[0]["loss"] * 2 / 3, rel=0.05)


def test_a_label_that_only_the_holdout_makes_is_no_obstacle(clips: Clips, labels: list[str], fold: Fold) -> None:
    # `labels` are those of the clips inside the folds; the clips still hold the others.
    used = {str(clips.column("label")[i]) for part in (fold.train, fold.stop, fold.test) for i in part}
    rows = {name: np.array([i for i in getattr(fold, name) if str(clips.column("label")[i]) != labels[2]])
            for name in ("train", "stop", "test")}  # fmt: skip
    assert used == set(labels)
    without = fit(override(RECIPE, ["train.epochs=1"]), clips, labels[:2], Fold(0, **rows))
    assert np.shape(without.test_probs) == (len(rows["test"]), 2)
