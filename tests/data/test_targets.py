"""If these fail, clips are trained on another clip's class, or glosses get the blank's number."""

import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.data.targets import BLANK_LABEL, chosen_rows, make_targets, rarest_words, vocabulary, words
from sigflow.errors import UserError
from sigflow.storage import Location


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, ("left_hand",))


def test_a_label_is_a_sentence_of_one(clips: Clips) -> None:
    sentences = words(clips, sentences=False)
    labels = vocabulary(sentences, blank=False)
    targets = make_targets(sentences, labels)
    assert targets.glosses.shape == (len(clips), 1)
    assert [labels[k] for k in targets.glosses[:, 0].tolist()] == clips.column("label")


def test_clips_without_glosses_are_refused_by_name(clips: Clips) -> None:
    with pytest.raises(UserError, match=r"60 clips have no glosses, .* first; give a manifest"):
        words(clips, sentences=True)


def test_sentences_are_padded_with_blanks_after_the_vocabulary_of_what_is_there() -> None:
    sentences = [["you", "see"], ["see"], ["dog", "see", "see"]]
    labels = vocabulary(sentences, blank=True)
    assert labels == (BLANK_LABEL, "dog", "see", "you")
    targets = make_targets(sentences, labels)
    assert targets.glosses.tolist() == [[3, 2, 0], [2, 0, 0], [1, 2, 2]]
    assert targets.sentences() == [[3, 2], [2], [1, 2, 2]]
    assert targets.take(torch.tensor([2])).sentences() == [[1, 2, 2]]


def test_a_name_that_only_the_holdout_has_is_no_class() -> None:
    assert make_targets([["a"], ["z"]], ("a", "b")).glosses.tolist() == [[0], [-1]]


def test_nothing_signed_is_the_blank_and_no_gloss() -> None:
    with pytest.raises(UserError, match="no gloss"):
        vocabulary([["a", "-"]], blank=True)
    assert vocabulary([["a"], ["-"]], blank=False) == ("-", "a")


def test_rare_words_leave_with_every_clip_that_has_them() -> None:
    sentences = [["a"], ["a", "b"], ["b"], ["c"], ["a", "c"], ["a"]]
    assert chosen_rows(sentences, min_clips=1, top_n=None) == [0, 1, 2, 3, 4, 5]
    assert chosen_rows(sentences, min_clips=3, top_n=None) == [0, 5]
    assert chosen_rows(sentences, min_clips=1, top_n=2) == [0, 1, 2, 5]  # b before c: equal counts go by name


def test_sentences_are_spread_over_folds_by_their_rarest_word() -> None:
    assert rarest_words([["a"], ["a", "b"], ["b", "a"], ["c", "a", "b"]]) == ["a", "b", "b", "c"]
