"""If these fail, a report says of sentences what was not signed or not answered."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.metrics import align, edit_distance, transcription, word_error_rate

sentences = st.lists(st.integers(1, 4), max_size=7)


@settings(deadline=None, max_examples=200)
@given(sentences, sentences)
def test_an_alignment_has_both_sentences_in_order_and_as_few_edits_as_the_distance(a: list[int], b: list[int]) -> None:
    pairs = align(a, b)
    assert [x for x, _ in pairs if x is not None] == a
    assert [y for _, y in pairs if y is not None] == b
    assert sum(x != y for x, y in pairs) == edit_distance(a, b)


def frames(*best: int) -> np.ndarray:
    """Probabilities of 5 classes whose likeliest ones are these."""
    return np.eye(5)[list(best)] * 0.8 + 0.04


def test_every_gloss_is_right_substituted_deleted_or_inserted() -> None:
    """(a b c) answered (a c), (a b) answered (a d), (c) answered (c c): one of each kind, 6 glosses."""
    probs = [frames(1, 0, 3, 0), frames(1, 1, 4), frames(3, 0, 3)]
    true = [[1, 2, 3], [1, 2], [3]]
    found = transcription(probs, true, ["<blank>", *"abcd"], ["x", "x", None])
    assert found["wer"] == pytest.approx(3 / 6) == word_error_rate(true, [[1, 3], [1, 4], [3, 3]])
    assert (found["substitutions"], found["deletions"], found["insertions"]) == (1, 1, 1)
    assert found["per_gloss"]["b"] == {
        "clips": 2, "right": 0, "substituted": 1, "deleted": 1, "inserted": 0, "given": 0,
        "error_rate": 1.0,
    }  # fmt: skip
    assert found["per_gloss"]["c"]["inserted"] == 1
    assert found["per_gloss"]["d"]["error_rate"] is None
    assert found["confused"] == [{"true": "b", "given": "d", "times": 1}]
    assert found["per_subject"]["x"]["wer"] == pytest.approx(2 / 5)
    assert found["accuracy"] == 0.0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_gloss_that_nobody_taught_is_an_error_like_others() -> None:
    found = transcription([frames(1)], [[-1]], ["<blank>", *"abcd"], ["x"])
    assert (found["wer"], found["confused"]) == (1.0, [{"true": "(not learnt)", "given": "a", "times": 1}])


def test_blanks_alone_leave_every_gloss_out() -> None:
    found = transcription([frames(0, 0, 0)], [[1, 2]], ["<blank>", *"abcd"], ["x"])
    assert (found["wer"], found["deletions"], found["blank_ratio"], found["distinct_predicted"]) == (1.0, 2, 1.0, 0)
