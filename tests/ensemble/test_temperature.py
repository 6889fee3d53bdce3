"""If these fail, a bundle's probabilities are surer or less sure than they may be."""

import numpy as np
import pytest

from sigflow.ensemble.temperature import fit_temperature
from sigflow.metrics import calibration_error, tempered
from tests.ensemble.answers import voting


def calibrated(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities from which the truth is drawn."""
    rng = np.random.default_rng(0)
    probs_NK = rng.dirichlet(np.full(classes, 0.3), count)
    true_N = (rng.random((count, 1)) < probs_NK.cumsum(1)).argmax(1)
    return probs_NK, true_N


@pytest.mark.parametrize("planted", [0.4, 1.0, 2.5])
def test_a_planted_temperature_is_found_and_takes_the_calibration_error_away(planted: float) -> None:
    probs_NK, true_N = calibrated(6000, 5)
    off_NK = tempered(probs_NK, 1 / planted)
    found = fit_temperature(off_NK, true_N)
    assert found == pytest.approx(planted, rel=0.04)
    after = calibration_error(tempered(off_NK, found), true_N)
    assert after < 0.02
    if planted != 1.0:
        assert after < 0.4 * calibration_error(off_NK, true_N)


@pytest.mark.parametrize("count", [5, 50, 5000])
def test_clips_that_are_all_right_do_not_make_it_infinitely_sure(count: int) -> None:
    """Right 5 times of 5: about 6 of 7."""
    true_N = np.arange(count) % 3
    probs_NK = voting(true_N, 3, 0.6)
    confidence = tempered(probs_NK, fit_temperature(probs_NK, true_N)).max()
    assert confidence == pytest.approx((count + 1) / (count + 2), abs=0.06)
    assert confidence < 1


def test_a_run_that_knows_nothing_is_made_as_unsure_as_can_be() -> None:
    rng = np.random.default_rng(0)
    probs_NK, true_N = rng.dirichlet(np.full(4, 0.2), 2000), rng.integers(0, 4, 2000)
    warm_NK = tempered(probs_NK, fit_temperature(probs_NK, true_N))
    assert warm_NK.max() < 0.5


def test_impossible_classes_do_not_break_the_fit() -> None:
    true_N = np.arange(60) % 3
    probs_NK = np.eye(3)[np.where(np.arange(60) < 6, (true_N + 1) % 3, true_N)]  # surely wrong in one of ten
    found = fit_temperature(probs_NK, true_N)
    assert 1 < found < 21
    assert np.isfinite(tempered(probs_NK, found)).all()
