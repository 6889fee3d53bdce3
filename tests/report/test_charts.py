"""If these fail, a picture shows a model better than it is, or ends a run that went well."""

import numpy as np
import pytest

from sigflow.report import confusion_matrix
from sigflow.report.charts import reliability_diagram, subject_bars
from sigflow.report.ranked import ranking_curves
from sigflow.report.style import BLUE, ORANGE
from tests.report.pictures import pixels, share


def test_a_confusion_matrix_is_dark_where_the_model_is_right() -> None:
    right, wrong = (
        pixels(confusion_matrix(np.eye(3, dtype=int)[::step].tolist(), list("abc"), "")) for step in (1, -1)
    )
    height, width = right.shape[:2]
    corner = np.s_[height // 8 : height // 4, width // 4 : width * 2 // 5]
    assert right[corner].mean() < wrong[corner].mean()


def test_a_class_without_clips_does_not_end_the_report() -> None:
    assert pixels(confusion_matrix([[2, 0], [0, 0]], ["a", "b"], "empty class")).size


@pytest.mark.parametrize("size", [2, 33, 100])
def test_a_confusion_matrix_of_many_classes_stays_readable_on_a_page(size: int) -> None:
    names = [f"a rather long name of a class {number} $x_1$" for number in range(size)]
    height, width = pixels(confusion_matrix(np.eye(size, dtype=int).tolist(), names, "")).shape[:2]
    assert max(height, width) < 1700
    assert min(height, width) > 350


def test_the_worst_subject_stands_out_whichever_way_the_figure_goes() -> None:
    good = {"accuracy": 0.9, "wer": 0.1, "clips": 30}
    people = {"ada": good, "bo": {"accuracy": 0.5, "wer": 0.5, "clips": 1}, "cy": good}
    for figure, worst, others in (("accuracy", 0.5, 0.9), ("wer", 0.5, 0.1)):
        picture = pixels(subject_bars(people, figure, 0.8))
        assert share(picture, ORANGE) / share(picture, BLUE) == pytest.approx(worst / (2 * others), rel=0.15)
        rows = [np.argwhere(np.abs(picture - c).max(-1) < 0.06)[:, 0].mean() for c in ((0.84, 0.37, 0), (0, 0.45, 0.7))]
        assert rows[0] < rows[1]  # on top


def test_of_many_subjects_the_worst_are_shown() -> None:
    people = {f"person {number}": {"accuracy": 1 - number / 400, "clips": 5} for number in range(400)}
    assert pixels(subject_bars(people, "accuracy", 0.5)).shape[0] < 1500


def test_a_word_error_rate_above_one_has_room() -> None:
    assert pixels(subject_bars({"a": {"wer": 1.7, "clips": 2}, "b": {"wer": 1.0, "clips": 2}}, "wer", 1.3)).size


def test_a_single_bin_is_a_diagram_all_the_same() -> None:
    bins = [{"from": 14 / 15, "to": 1.0, "clips": 3, "confidence": 1.0, "accuracy": 1.0}]
    assert share(pixels(reliability_diagram(bins, 0.0)), BLUE) > 0.001


def test_without_clips_of_both_kinds_there_is_no_ranking_to_draw() -> None:
    probs = np.array([[0.2, 0.8], [0.4, 0.6]])
    assert ranking_curves(probs, np.array([1, 1]), ["ADL", "Fall"]) is None
    assert ranking_curves(probs, np.array([1, 0]), ["ADL", "Fall"]) is not None
