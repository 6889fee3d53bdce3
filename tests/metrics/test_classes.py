"""If these fail, the scores by which models are chosen and gated are wrong."""

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.metrics import classification, confusion, f1_per_class, macro_f1, worst_subject

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=100)
@given(pairs)
def test_confusion_and_f1_are_sklearns(rows: list[tuple[int, int]]) -> None:
    true, predicted = np.array(rows).T
    counts = confusion(true, predicted, 4)
    assert np.array_equal(counts, sklearn.metrics.confusion_matrix(true, predicted, labels=range(4)))
    occurs = sorted({*true.tolist(), *predicted.tolist()})
    expected = sklearn.metrics.f1_score(true, predicted, labels=occurs, average=None, zero_division=0.0)
    assert np.allclose(f1_per_class(counts)[occurs], expected)
    assert np.isnan(np.delete(f1_per_class(counts), occurs)).all()
    there = sorted(set(true.tolist()))
    macro = sklearn.metrics.f1_score(true, predicted, labels=there, average="macro", zero_division=0.0)
    assert macro_f1(true, predicted, 4) == pytest.approx(macro)


@pytest.mark.parametrize("seed", range(5))
def test_a_report_on_random_predictions_is_sklearns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs, true = rng.dirichlet(np.ones(5), 200), rng.integers(0, 5, 200)
    subjects = [("ada", "bo", None)[i] for i in rng.integers(0, 3, 200)]
    predicted = probs.argmax(1)
    report = classification(probs, true, list("abcde"), subjects)
    assert report["clips"] == 200
    assert report["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(true, predicted))
    assert report["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(true, predicted, average="macro"))
    assert report["log_loss"] == pytest.approx(sklearn.metrics.log_loss(true, probs))
    for average in ("precision", "recall", "f1"):
        score = getattr(sklearn.metrics, f"{average}_score")
        assert report[average] == pytest.approx(score(true, predicted, average="macro", zero_division=0.0))
    assert report["positive"] is None
    assert report["top_3"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(true, probs, k=3))
    assert report["top_5"] is None  # of 5 classes always right
    assert report["confusion"] == sklearn.metrics.confusion_matrix(true, predicted).tolist()
    recalls = sklearn.metrics.recall_score(true, predicted, average=None)
    assert [value["recall"] for value in report["per_class"].values()] == pytest.approx(recalls.tolist())
    assert [value["clips"] for value in report["per_class"].values()] == np.bincount(true).tolist()
    assert set(report["per_subject"]) == {"ada", "bo", "unknown"}
    for name, value in report["per_subject"].items():
        own = np.array([subject == (None if name == "unknown" else name) for subject in subjects])
        assert value == {"accuracy": pytest.approx((true == predicted)[own].mean()), "clips": own.sum()}
    lowest = min(value["accuracy"] for value in report["per_subject"].values())
    assert worst_subject(report)["accuracy"] == lowest


def test_a_class_that_never_occurs_has_no_f1_and_the_report_stays_plain_json() -> None:
    report = classification(np.array([[0.9, 0.1, 0.0]]), np.array([0]), ["a", "b", "c"], [None])
    assert report["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "clips": 0, "given": 0}
    assert report["macro_f1"] == report["recall"] == 1.0
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_model_that_is_sure_and_wrong_has_a_finite_loss() -> None:
    report = classification(np.array([[1.0, 0.0]]), np.array([1]), ["a", "b"], ["x"])
    assert np.isfinite(report["log_loss"])
    assert report["distinct_predicted"] == 1


def test_the_worst_subject_is_named_and_ties_are_broken_by_name() -> None:
    probs, true = np.eye(2)[[0, 0, 1, 1]], np.array([0, 1, 1, 0])
    report = classification(probs, true, ["a", "b"], ["zoe", "zoe", "bo", "bo"])
    assert worst_subject(report) == {"subject": "bo", "accuracy": 0.5, "clips": 2}


def test_of_two_classes_the_second_one_is_what_is_looked_for() -> None:
    """Falls after ADL: 3 of 4 falls found, 1 false alarm: both 3 / 4. Of ADL both would be 5 / 6."""
    predicted = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    true = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    report = classification(np.eye(2)[predicted], true, ["ADL", "Fall"], [None] * 10)
    assert report["positive"] == "Fall"
    assert (report["precision"], report["recall"], report["f1"]) == (0.75, 0.75, 0.75)
    assert report["per_class"]["ADL"]["recall"] == pytest.approx(5 / 6)
    assert report["commonest_class"] == 0.6


def test_a_class_that_is_never_named_has_no_precision_to_be_proud_of() -> None:
    report = classification(np.eye(2)[[0, 0]], np.array([0, 1]), ["ADL", "Fall"], [None] * 2)
    assert (report["precision"], report["recall"], report["f1"]) == (0.0, 0.0, 0.0)


def test_the_right_class_in_third_place_counts_for_the_top_three_alone() -> None:
    probs = np.array([[0.4, 0.3, 0.2, 0.06, 0.03, 0.01]] * 3)
    report = classification(probs, np.array([2, 4, 5]), list("abcdef"), [None] * 3)
    assert (report["accuracy"], report["top_3"], report["top_5"]) == (0.0, pytest.approx(1 / 3), pytest.approx(2 / 3))
