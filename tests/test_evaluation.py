"""If these fail, metrics.json says something else than the predictions beside it."""

import numpy as np
import pyarrow as pa
import pytest

from sigflow.evaluation import frame_probs, intervals, measure, spread
from sigflow.runs import predictions_table

LABELS = ("ADL", "Fall")


def falls(fall_probs: list[float], true: list[int], folds: list[int] | None = None) -> pa.Table:
    """A table of predictions, one subject each."""
    probs = [np.array([1 - prob, prob]) for prob in fall_probs]
    names = [f"c{number}" for number in range(len(true))]
    table = predictions_table(names, 0, [LABELS[k] for k in true], names, probs)
    return table.set_column(1, "fold", pa.array(folds or [0] * len(true), pa.int32()))


def test_false_alarms_are_counted_by_the_hour_of_footage_without_a_fall() -> None:
    """2 alarms in 3 clips of 40, 50 and 90 s without a fall: 180 s, so 40 an hour. The fall's 600 s do not count."""
    table = falls([0.9, 0.6, 0.2, 0.1], [0, 0, 0, 1])
    table = table.append_column("duration_s", pa.array([40.0, 50.0, 90.0, 600.0]))
    found = measure(table, LABELS, sentences=False)
    assert (found["false_alarms"], found["missed"]) == (2, 1)
    assert found["negative_hours"] == pytest.approx(0.05)
    assert found["false_alarms_per_hour"] == pytest.approx(40)


@pytest.mark.parametrize("durations", [None, [1.0, None]])
def test_without_durations_nothing_is_said_by_the_hour(durations: list[float | None] | None) -> None:
    table = falls([0.9, 0.6], [0, 1])
    if durations is not None:
        table = table.append_column("duration_s", pa.array(durations, pa.float64()))
    found = measure(table, LABELS, sentences=False)
    assert found["false_alarms"] == 1
    assert found["false_alarms_per_hour"] is None


def test_of_more_than_two_classes_nothing_is_an_alarm() -> None:
    table = predictions_table(["x"], 0, ["b"], [None], [np.array([0.2, 0.5, 0.3])])
    assert "false_alarms" not in measure(table, ("a", "b", "c"), sentences=False)


def test_the_spread_is_over_folds_and_leaves_out_what_a_fold_cannot_say() -> None:
    """Fold 0: 1 of 2 right; fold 1: 2 of 2, but no fall, so no recall and no ROC-AUC there."""
    found = spread(falls([0.9, 0.9, 0.1, 0.2], [1, 0, 0, 0], [0, 0, 1, 1]), LABELS, sentences=False)
    assert found["accuracy"] == {"mean": 0.75, "std": 0.25, "folds": [0.5, 1.0]}
    assert found["recall"] == {"mean": 1.0, "std": 0.0, "folds": [1.0, None]}
    assert found["roc_auc"]["folds"] == [0.5, None]
    assert "wer" not in found


def test_sentences_of_any_length_come_back_frame_by_frame() -> None:
    probs = [np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(4, 3)]
    table = predictions_table(["x", "y"], 0, ["a b", "a"], ["s", "t"], probs)
    back = frame_probs(table, ("<blank>", "a", "b"), sentences=True)
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(back, probs, strict=True))


def test_sentences_have_an_interval_of_their_word_error_rate() -> None:
    answer = np.eye(3)[[1, 0]]
    table = predictions_table(["x", "y"], 0, ["a", "a b"], ["s", "t"], [answer, answer])
    labels = ("<blank>", "a", "b")
    found = intervals(table, labels, sentences=True)
    assert found["wer"] == [0.0, 0.5]
    assert found["drawn"].startswith("subjects")
    assert measure(table, labels, sentences=True)["wer"] == pytest.approx(1 / 3)
