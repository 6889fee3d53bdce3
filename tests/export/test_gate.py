"""If these fail, a graph that answers otherwise than fp32 is put in a bundle, or a good one is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sigflow.export.gate import Answers, Limits, figures, judge

LABELS = ("a", "b", "c", "d")
TRUE = [[number % 4] for number in range(200)]


def answers(given: list[int], *, sure: float = 0.9, size: int = 1000) -> Answers:
    """Of 200 clips; random inputs get every answer in turn."""
    rng = np.random.default_rng(0)
    probs = [one_hot(k, sure) for k in given]
    noise = [one_hot(int(k), sure) for k in rng.permutation(100) % 4]
    return Answers(probs, noise, probs[:10], milliseconds=1.0, bytes=size)


def one_hot(k: int, sure: float) -> np.ndarray:
    probs = np.full(4, (1 - sure) / 3, np.float32)
    probs[k] = sure
    return probs


FP32 = answers([k for (k,) in TRUE])


def judged(mine: Answers, limits: Limits | None = None) -> tuple[str, ...]:
    return judge(figures(replace(mine, bytes=400), FP32, TRUE, LABELS), limits or Limits())


def test_the_same_answers_in_fewer_bytes_pass() -> None:
    assert judged(FP32) == ()


def test_figures_are_those_of_both_graphs() -> None:
    found = figures(answers([0, *(k for (k,) in TRUE[1:-1]), 0], size=400), FP32, TRUE, LABELS)
    assert found["accuracy_fp32"] == 1.0
    assert found["accuracy"] == 199 / 200
    assert found["agreement"] == 199 / 200
    assert found["ece_fp32"] == pytest.approx(0.1, abs=1e-6)
    assert found["largest_difference"] == pytest.approx(0.9 - 0.1 / 3, abs=1e-6)
    assert found["random_fp32"]["distinct_predicted"] == 4
    assert found["worst_class"] == {"label": "d", "clips": 50, "lost": 1}
    assert (found["bytes"], found["bytes_fp32"]) == (400, 1000)


def test_trap_a_graph_that_collapsed_to_one_class_is_refused_by_every_figure_that_sees_it() -> None:
    reasons = " ".join(judged(answers([1] * 200)))
    for said in ("agreement", "accuracy below", "ECE above", "distinct_predicted of answers", "entropy of answers",
                 "commonest of answers", "clips of 'a' lost"):  # fmt: skip
        assert said in reasons


def test_a_graph_that_says_one_thing_to_random_inputs_is_refused() -> None:
    silent = replace(FP32, random=[one_hot(2, 0.9)] * 100)
    assert any("distinct_predicted of random 1" in reason for reason in judged(silent))


def test_two_of_two_hundred_clips_are_more_than_half_a_point() -> None:
    given = [k for (k,) in TRUE]
    one = answers([(given[0] + 1) % 4, *given[1:]])
    two = answers([(given[0] + 1) % 4, (given[1] + 1) % 4, *given[2:]])
    assert judged(one) == ()
    assert judged(two) == ("accuracy below fp32's by 0.01, at most 0.005",)


def test_a_class_that_is_lost_is_noticed_where_accuracy_hardly_falls() -> None:
    true = [*[[0]] * 495, *[[3]] * 5]
    right, wrong = answers([0] * 495 + [3] * 5), answers([0] * 495 + [3] * 3 + [0] * 2, size=400)
    (reason,) = judge(figures(wrong, right, true, LABELS), Limits(diversity=0.0))
    assert reason == "2 of 5 clips of 'd' lost against fp32"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"milliseconds": 2.5}, "times as slow as fp32: 2.5, at most 2"),
        ({"bytes": 950}, "of fp32's bytes: 0.95, at most 0.9"),
        ({"alone": [one_hot(0, 0.85), *FP32.alone[1:]]}, "probabilities depend on the batch by 0.05, at most 0.02"),
    ],
)
def test_slow_large_and_batch_dependent_graphs_are_refused(change: dict[str, Any], said: str) -> None:
    mine = replace(FP32, **({"bytes": 400} | change))
    assert judge(figures(mine, FP32, TRUE, LABELS), Limits()) == (said,)


def test_limits_are_settings() -> None:
    assert judged(answers([1] * 200), Limits(
        accuracy_loss=1, class_loss=1, agreement=0, ece_rise=1, diversity=0, top_share_rise=1)) == ()  # fmt: skip


def sentences(*given: str) -> Answers:
    """Frames as letters: "-" is the blank."""
    probs = [np.stack([one_hot("-abc".index(letter), 0.9) for letter in frames]) for frames in given]
    return Answers(probs, [probs[0]], probs[:1], milliseconds=1.0, bytes=1000)


def test_of_sentences_word_errors_and_blanks_are_compared() -> None:
    true = [[1, 2], [3, 1]]
    fp32, mine = sentences("-a-b", "c--a"), sentences("-a--", "c--a")
    found = figures(replace(mine, bytes=400), fp32, true, ("-", "a", "b", "c"))
    assert (found["wer"], found["wer_fp32"]) == (0.25, 0.0)
    assert (found["blank_ratio"], found["blank_ratio_fp32"]) == (5 / 8, 4 / 8)
    assert found["agreement"] == 7 / 8
    reasons = " ".join(judge(found, Limits(diversity=0)))
    assert "WER above fp32's by 0.25" in reasons
    assert "blank ratio off fp32's by 0.125" in reasons
    assert "accuracy" not in reasons
