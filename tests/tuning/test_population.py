"""If these fail, a population leaves its space, forgets what it found, or hands on what was bad."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.errors import UserError
from sigflow.recipes.catalogue import RECIPES, find_space
from sigflow.recipes.recipe import override
from sigflow.recipes.space import Choice, LogUniform, Space, Uniform, holds, live, value_at
from sigflow.storage import locate
from sigflow.tuning import changed
from sigflow.tuning.population import (
    Step,
    counted,
    first_settings,
    found,
    perturbed,
    read_population,
    refuse_unfit,
    segments_of,
    write_population,
)
from sigflow.tuning.population_chart import population_chart
from tests.report.pictures import pixels, share

RECIPE = RECIPES["unified_signs"]
ends = st.tuples(st.floats(1e-6, 10), st.floats(1e-3, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def step(member: int, segment: int, score: float | None, rate: float = 1e-3, **given: Any) -> Step:
    made: dict[str, Any] = {
        "segment": segment, "member": member, "settings": {"optim.lr": rate}, "score": score, "seconds": 1.0,
        "ended_s": float(segment), "reason": None if score is not None else "diverged: in epoch 1",
    }  # fmt: skip
    return Step(**made | given)


@given(ends, st.booleans(), st.integers(0, 2**32), st.floats(-1, 30))
@settings(max_examples=200, deadline=None)
def test_whatever_is_changed_stays_in_the_space(
    between: tuple[float, float], magnitude: bool, seed: int, begin: float
) -> None:
    """Also what began outside of it: a recipe from a file may."""
    axis = (LogUniform if magnitude else Uniform)(low=between[0], high=between[1])
    rng, space = np.random.default_rng(seed), {"optim.lr": axis}
    value: Any = {"optim.lr": begin}
    for _ in range(10):
        value = perturbed(value, space, rng)
        assert holds(axis, value["optim.lr"])


def test_a_setting_moves_by_a_step_both_ways_and_leaves_zero() -> None:
    space: Space = {"loss.smoothing": Uniform(low=0, high=0.2)}
    rng = np.random.default_rng(0)
    middle = [perturbed({"loss.smoothing": 0.1}, space, rng)["loss.smoothing"] for _ in range(200)]
    assert {0.08, 0.12} < set(middle)
    assert 0.6 < np.mean([value in (0.08, 0.12) for value in middle]) < 0.9  # the others are drawn anew
    off = [perturbed({"loss.smoothing": 0.0}, space, rng)["loss.smoothing"] for _ in range(200)]
    assert 0.02 in off


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.model.kind != "portfolio"])
def test_a_population_begins_with_the_recipe_and_holds_recipes(name: str) -> None:
    recipe, space = RECIPES[name], find_space(RECIPES[name])
    refuse_unfit([recipe], [space], 8)
    first, *others = first_settings(recipe, space, 8, np.random.default_rng(0))
    assert changed(recipe, first) == recipe
    assert len(others) == 7
    for each in others:
        assert all(holds(space[key], value) for key, value in each.items())
        assert changed(recipe, each) != recipe


@pytest.mark.parametrize(
    ("recipe", "space", "members", "words"),
    [
        (RECIPES["any_sequence"], {"optim.lr": Uniform(low=0.1, high=1)}, 8, "use --search tpe"),
        (override(RECIPE, ["curriculum.vocabularies=[4]"]), find_space(RECIPE), 8, "curriculum"),
        (RECIPE, {"model.hidden": Choice(values=((8,), (16,)))}, 8, "of model.hidden none can be"),
        (RECIPE, find_space(RECIPE), 1, "at least 2"),
    ],
)
def test_what_a_population_cannot_search_is_refused(recipe: Any, space: Space, members: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        refuse_unfit([recipe], [space], members)


def test_several_recipes_are_refused() -> None:
    with pytest.raises(UserError, match="one recipe"):
        refuse_unfit([RECIPE, RECIPES["isolated_gestures"]], [find_space(RECIPE)] * 2, 8)


def test_short_trainings_have_fewer_segments_and_none_without_an_epoch() -> None:
    assert segments_of(override(RECIPE, ["train.epochs=4"]), 100) == 4
    assert segments_of(override(RECIPE, ["train.epochs=40"]), 100) == 10
    assert segments_of(override(RECIPE, ["train.epochs=40", "train.most_steps=6"]), 100) == 3  # of two batches


def test_the_best_ends_come_first_each_once_and_failures_not_at_all() -> None:
    steps = [
        step(0, 1, 0.9, 0.1), step(1, 1, 0.1, 0.2), step(2, 1, 0.2, 0.3), step(3, 1, None, 0.4),
        step(0, 2, 0.5, 0.1), step(1, 2, 0.7, 0.5, donor=0), step(2, 2, 0.6, 0.1), step(3, 2, None, 0.4),
    ]  # fmt: skip
    assert [each["optim.lr"] for each in found(steps, "macro_f1")] == [0.5, 0.1]
    assert [each["optim.lr"] for each in found(steps, "wer")] == [0.1, 0.5]
    assert counted(steps) == {"members": 4, "segments": 2, "copied": 1, "failed": 1, "seconds": 2.0}
    assert found([], "wer") == []


def test_what_was_found_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = locate(tmp_path)
    assert read_population(place) is None
    for steps in (
        [step(0, 1, 0.25), step(1, 1, None), step(0, 2, 0.5, 3e-3, donor=1)],
        [step(0, 1, 0.5, settings={"optim.lr": 1e-3, "model.dropout": 0})],  # no donor and no reason at all
    ):
        write_population(place, steps)
        assert read_population(place) == steps
    (tmp_path / "population.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="damaged"):
        read_population(place)


def test_copies_and_failures_are_seen() -> None:
    steps = [step(m, s, 0.1 * m + 0.2 * s) for s in (1, 2, 3) for m in range(3)]
    without = pixels(population_chart(steps, "macro_f1"))
    with_one = pixels(population_chart([*steps, step(3, 1, None)], "macro_f1"))
    orange = "#d55e00"
    assert share(without, orange) == 0
    assert share(with_one, orange) > 0
    copied = [each.model_copy(update={"donor": 2}) if each.segment == 2 and not each.member else each for each in steps]
    assert (pixels(population_chart(copied, "macro_f1")) != without).any()
    assert pixels(population_chart([step(0, 1, None)], "wer")).size  # all failed


def test_only_what_training_looks_at_anew_may_change() -> None:
    number, choice = Uniform(low=0, high=1), Choice(values=(0.0, 1.0))
    may = ["optim.lr", "optim.weight_decay", "loss.gamma", "augmentation.warp", "mixing.mixup_alpha", "model.dropout"]
    not_so = ["optim.ema_decay", "loss.alignment", "auxiliary.phonology", "train.batch_size", "model.hidden", "lossy.a"]
    space: Space = dict.fromkeys([*may, *not_so], number) | {"augmentation.mirror": choice}
    assert list(live(space)) == may
    assert value_at(RECIPE, "optim.ema_decay") == 0  # the key is there
