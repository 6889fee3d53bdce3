"""If these fail, a gate on ROC-AUC passes or fails the wrong model."""

import subprocess
import sys

import numpy as np
import pytest
import sklearn.metrics

from sigflow.metrics.ranking import ranking


def test_of_two_classes_the_second_ones_ranking_counts() -> None:
    """Falls 0.9 and 0.3 against 0.4, 0.2, 0.1: one pair of six is in the wrong order."""
    falls = np.array([0.9, 0.3, 0.4, 0.2, 0.1])
    found = ranking(np.stack([1 - falls, falls], 1), np.array([1, 1, 0, 0, 0]))
    assert found.roc_auc == pytest.approx(5 / 6)
    assert found.average_precision == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_of_more_classes_it_is_sklearns_mean_of_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    probs, true = rng.dirichlet(np.ones(4), 100), rng.integers(0, 4, 100)
    found = ranking(probs, true)
    assert found.roc_auc == pytest.approx(sklearn.metrics.roc_auc_score(true, probs, multi_class="ovr"))
    assert found.average_precision == pytest.approx(np.mean(found.average_precision_K))


def test_a_class_without_clips_is_left_out_and_one_class_alone_has_no_ranking() -> None:
    probs = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    found = ranking(probs, np.array([0, 1]))
    assert found.roc_auc == 1.0
    assert np.isnan(found.roc_auc_K).tolist() == [False, False, True]
    assert np.isnan(ranking(probs, np.array([0, 0])).roc_auc)
    assert np.isnan(ranking(probs[:, :2], np.array([0, 0])).roc_auc)


def test_a_serving_replica_gets_its_metrics_without_torch_and_scikit_learn() -> None:
    code = "import sys, sigflow.metrics; print(sorted({'torch', 'sklearn', 'ray'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
