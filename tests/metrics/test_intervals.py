"""If these fail, a report is surer of a figure than its few subjects allow."""

import numpy as np
import pytest

from sigflow.metrics import class_intervals, f1_difference, macro_f1, wer_interval
from sigflow.metrics.intervals import RESAMPLES


def test_an_interval_over_clips_is_the_binomial_one() -> None:
    """80 % of 400: sd 0.02, so about 0.76 to 0.84."""
    true, predicted = np.zeros(400, int), (np.arange(400) % 5 == 0).astype(int)
    found = class_intervals(true, predicted, 2, [None] * 400)
    assert found["accuracy"] == pytest.approx([0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02], abs=0.006)
    assert (found["drawn"], found["units"], found["says_nothing_of_other_subjects"]) == ("clips", 400, True)


def test_clips_of_one_subject_are_drawn_together() -> None:
    """Half of the subjects are always wrong: 400 clips say no more than their 20 subjects do."""
    subjects = [f"s{number // 20}" for number in range(400)]
    true, predicted = np.zeros(400, int), np.repeat([0, 1], 200)
    low, high = class_intervals(true, predicted, 2, subjects)["accuracy"]
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.112, 0.5 + 1.96 * 0.112), abs=0.04)
    narrow = class_intervals(true, predicted, 2, [None] * 400)["accuracy"]
    assert high - low > 3 * (narrow[1] - narrow[0])


def test_a_subject_with_many_clips_weighs_as_its_clips_do() -> None:
    """Two subjects, 9 clips right and 1 wrong: drawn twice the one, twice the other, or both."""
    found = class_intervals(np.zeros(10, int), np.array([0] * 9 + [1]), 2, ["a"] * 9 + ["b"])
    assert found["accuracy"] == [0.0, 1.0]
    assert found["too_few_units"]


def test_macro_f1_of_each_resample_is_that_of_its_clips() -> None:
    """Against drawing clips one by one."""
    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 3, (2, 60))
    low, high = class_intervals(true, predicted, 3, [None] * 60)["macro_f1"]
    slow = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, 60, 60)
        slow.append(macro_f1(true[rows], predicted[rows], 3))
    assert (low, high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])), abs=0.02)


def test_the_word_error_rate_is_of_sums_not_of_sentences() -> None:
    """One sentence of 100 glosses without an error, one of 1 with one: 1/101 over all, never their mean of 0.5."""
    found = wer_interval([0, 1] * 50, [100, 1] * 50, [None] * 100)
    assert found["wer"][0] < 1 / 101 < found["wer"][1] < 0.03
    assert found["accuracy"][0] < 0.5 < found["accuracy"][1]


@pytest.mark.parametrize("subjects", [["a"] * 6, ["a", "b", None] * 2])
def test_without_subjects_to_draw_the_interval_says_that_it_knows_nothing_of_others(subjects: list[str | None]) -> None:
    found = class_intervals(np.zeros(6, int), np.zeros(6, int), 2, subjects)
    assert found["says_nothing_of_other_subjects"]
    assert found["units"] == 6


def test_the_same_predictions_have_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 3, (2, 50))
    assert class_intervals(true, predicted, 3, [None] * 50) == class_intervals(true, predicted, 3, [None] * 50)


def test_a_model_that_is_better_for_everybody_is_better_than_chance() -> None:
    rng = np.random.default_rng(0)
    true_N = rng.integers(0, 3, 600)
    people = [f"s{row % 12}" for row in range(600)]
    poor_N, good_N = (np.where(rng.random(600) < share, true_N, (true_N + 1) % 3) for share in (0.7, 0.9))
    found = f1_difference(true_N, poor_N, good_N, 3, people)
    assert found["difference"] == pytest.approx(0.2, abs=0.05)
    assert found["interval"][0] > 0.1
    assert found["significant"]
    assert found["units"] == 12
    assert f1_difference(true_N, good_N, poor_N, 3, people)["difference"] == pytest.approx(-found["difference"])


def test_a_gain_that_one_subject_makes_could_be_chance() -> None:
    true_N = np.tile([0, 1], 60)
    people = [f"s{row // 20}" for row in range(120)]
    first_N = np.where(np.arange(120) < 20, 1 - true_N, true_N)  # all wrong for s0, right for the others
    found = f1_difference(true_N, first_N, true_N, 2, people)
    assert found["difference"] > 0.1
    assert not found["significant"]
    assert found["too_few_units"]


def test_equal_answers_do_not_differ() -> None:
    true_N = np.tile([0, 1], 20)
    found = f1_difference(true_N, true_N, true_N, 2, [None] * 40)
    assert (found["difference"], found["interval"], found["significant"]) == (0.0, [0.0, 0.0], False)
