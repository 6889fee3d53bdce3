"""If these fail, a model that answers one thing to everything looks like one that learns."""

from math import log

import pytest

from sigflow.monitors import Epoch, Monitors, diversity, watch

TEN = diversity(list(range(10)) * 3, 10)
CONFIG = Monitors(grace=2, patience=3)


def epochs(count: int, **values: float) -> list[Epoch]:
    """As many alike, of a healthy training but for `values`."""
    healthy = {"accuracy": 0.8, "stop_accuracy": 0.8, "grad_norm": 1.0,
               "stop_distinct_predicted": 10.0, "stop_top_share": 0.15, "stop_entropy": 0.97}  # fmt: skip
    return [{"epoch": number, **healthy, **values} for number in range(1, count + 1)]


def said(history: list[Epoch], config: Monitors = CONFIG, true: dict[str, float] = TEN) -> list[tuple[str, int, bool]]:
    """Code, epoch in which it was said, and whether it ends the fold, over a whole training."""
    return [
        (alarm.code, alarm.epoch, alarm.stops)
        for end in range(1, len(history) + 1)
        for alarm in watch(history[:end], true, config)
    ]


def test_diversity_of_known_answers() -> None:
    assert diversity([3, 3, 3, 3], 10) == {"distinct_predicted": 1.0, "top_share": 1.0, "entropy": 0.0}
    half = diversity([1, 2, 1, 2], 4)
    assert half["top_share"] == 0.5
    assert half["entropy"] == pytest.approx(log(2) / log(4))
    assert diversity([], 4) == {"distinct_predicted": 0.0, "top_share": 1.0, "entropy": 0.0}


def test_a_healthy_training_raises_nothing() -> None:
    assert said(epochs(50)) == []


def test_one_answer_to_everything_ends_the_fold_after_grace_and_patience_once() -> None:
    collapsed = epochs(20, stop_distinct_predicted=1.0, stop_top_share=1.0, stop_entropy=0.0)
    assert said(collapsed) == [("collapse", 5, True)]


def test_few_answers_are_a_collapse_though_none_prevails() -> None:
    assert said(epochs(9, stop_distinct_predicted=2.0, stop_top_share=0.5, stop_entropy=0.3)) == [("collapse", 5, True)]


def test_a_class_that_is_common_in_truth_may_be_answered_often() -> None:
    true = diversity([0] * 85 + [1] * 15, 2)
    history = epochs(9, stop_distinct_predicted=2.0, stop_top_share=0.92, stop_entropy=0.4)
    assert said(history, true=true) == []
    one = epochs(9, stop_distinct_predicted=1.0, stop_top_share=1.0, stop_entropy=0.0)
    assert said(one, true=true) == [("collapse", 5, True)]


def test_one_class_alone_cannot_collapse() -> None:
    one = epochs(9, stop_distinct_predicted=1.0, stop_top_share=1.0, stop_entropy=0.0)
    assert said(one, true=diversity([4, 4], 10)) == []


def test_blank_frames_and_silence_end_the_fold() -> None:
    history = epochs(
        9, stop_blank_ratio=0.985, stop_distinct_predicted=0.0, stop_top_share=1.0, stop_entropy=0.0
    )  # the earlier system's figure
    assert said(history) == [("blank", 5, True)]


def test_a_sign_in_a_long_clip_leaves_most_frames_blank_and_is_no_collapse() -> None:
    assert said(epochs(9, stop_blank_ratio=0.985, stop_wer=0.4)) == []
    missed = epochs(9, stop_blank_ratio=0.985, stop_wer=0.95, stop_distinct_predicted=1.0, stop_entropy=0.0)
    assert said(missed) == [("blank", 5, True)]


def test_a_bad_epoch_now_and_then_is_no_collapse() -> None:
    bad = {"stop_distinct_predicted": 1.0, "stop_top_share": 1.0, "stop_entropy": 0.0}
    history = [epoch | (bad if epoch["epoch"] % 3 else {}) for epoch in epochs(30)]
    assert said(history) == []


def test_a_late_breakdown_is_said_within_patience() -> None:
    bad = {"stop_distinct_predicted": 1.0, "stop_top_share": 1.0, "stop_entropy": 0.0}
    history = [epoch | (bad if epoch["epoch"] >= 20 else {}) for epoch in epochs(30)]
    assert said(history) == [("collapse", 22, True)]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"accuracy": 0.95, "stop_accuracy": 0.4}, "overfit"),
        ({"grad_norm": 5e4}, "gradient"),
        ({"stop_distinct_predicted": 6.0, "stop_entropy": 0.7}, "unanswered"),
    ],
)
def test_lesser_findings_warn(values: dict[str, float], code: str) -> None:
    assert said(epochs(9, **values)) == [(code, 5, False)]


def test_what_is_off_says_nothing() -> None:
    history = epochs(9, stop_distinct_predicted=1.0, stop_top_share=1.0, stop_entropy=0.0)
    assert said(history, CONFIG.model_copy(update={"collapse": "off"})) == []
    assert said(history, CONFIG.model_copy(update={"collapse": "warn"})) == [("collapse", 5, False)]


def test_short_trainings_are_watched_too() -> None:
    short = Monitors().within(15)
    assert (short.grace, short.patience) == (7, 3)
    assert Monitors().within(200) == Monitors()
    collapsed = epochs(15, stop_distinct_predicted=1.0, stop_top_share=1.0, stop_entropy=0.0)
    assert said(collapsed, short) == [("collapse", 10, True)]
