"""If these fail, a threshold is chosen by a curve that is not the model's."""

import numpy as np
import pytest

from sigflow.metrics import risk_coverage


def test_wrong_answers_that_are_the_least_sure_come_last() -> None:
    found = risk_coverage(np.array([0.9, 0.6, 0.8, 0.7]), np.array([False, True, False, False]))
    assert [(point["coverage"], point["risk"]) for point in found["curve"]] == [
        (0.25, 0.0), (0.5, 0.0), (0.75, 0.0), (1.0, 0.25),
    ]  # fmt: skip
    assert [point["threshold"] for point in found["curve"]] == [0.9, 0.8, 0.7, 0.6]
    assert found["aurc"] == 0.25 / 4


def test_wrong_answers_that_are_the_surest_cost_most() -> None:
    found = risk_coverage(np.array([0.9, 0.6, 0.8, 0.7]), np.array([True, False, False, False]))
    assert found["aurc"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_clips_of_equal_confidence_have_no_order() -> None:
    wrong_N = np.array([True, False, False, True])
    for order in (wrong_N, wrong_N[::-1], np.roll(wrong_N, 1)):
        assert risk_coverage(np.full(4, 0.5), order)["aurc"] == 0.5


def test_long_curves_are_thinned_and_end_at_all_clips() -> None:
    rng = np.random.default_rng(0)
    found = risk_coverage(rng.random(5000), rng.random(5000) < 0.3)
    assert len(found["curve"]) == 100
    assert found["curve"][-1]["coverage"] == 1.0
    assert found["curve"][-1]["risk"] == pytest.approx(0.3, abs=0.02)
