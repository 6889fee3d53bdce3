"""If these fail, a model that is surer than it is right looks trustworthy."""

import numpy as np
import pytest

from sigflow.metrics import calibration_error, reliability, tempered


def two_classes(confidence: list[float]) -> np.ndarray:
    sure = np.array(confidence)
    return np.stack([sure, 1 - sure], 1)


def test_the_error_is_the_gap_of_confidence_and_accuracy_weighed_by_clips() -> None:
    """4 clips at 0.95, half of them right: gap 0.45. 1 clip at 0.62, right: gap 0.38. (4 * 0.45 + 0.38) / 5."""
    probs, true = two_classes([0.95, 0.95, 0.95, 0.95, 0.62]), np.array([0, 0, 1, 1, 0])
    assert calibration_error(probs, true) == pytest.approx((4 * 0.45 + 0.38) / 5)
    assert [(b["clips"], b["accuracy"]) for b in reliability(probs, true)] == [(1, 1.0), (4, 0.5)]


def test_probabilities_that_are_true_have_no_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 200_000)
    true = (rng.random(len(sure)) > sure).astype(int)
    assert calibration_error(two_classes(sure.tolist()), true) < 0.005


def test_a_bin_holds_its_upper_edge_and_certainty_has_a_bin() -> None:
    bins = reliability(np.eye(3)[[0, 1]] * 1.0, np.array([0, 0]))
    assert [(b["to"], b["clips"]) for b in bins] == [(1.0, 2)]
    edges = reliability(two_classes([9 / 15]), np.array([0]))
    assert edges[0]["to"] == pytest.approx(9 / 15)


def test_a_temperature_changes_how_sure_an_answer_is_not_the_answer_and_can_be_taken_back() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(5), 100)
    warm, cold = tempered(probs, 3.0), tempered(probs, 0.3)
    assert (warm.argmax(1) == probs.argmax(1)).all()
    assert (warm.max(1) < probs.max(1)).all()
    assert (cold.max(1) > probs.max(1)).all()
    assert np.allclose(warm.sum(1), 1)
    assert np.allclose(tempered(warm, 1 / 3.0), probs)
    assert np.isfinite(tempered(np.eye(3), 0.01)).all()
