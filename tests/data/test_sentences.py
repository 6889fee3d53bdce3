"""If these fail, composed sentences mix people, teach that a pause is a gloss, or run backwards in time."""

import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.data.sentences import compose
from sigflow.errors import UserError
from sigflow.storage import Location


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, ("left_hand", "right_hand"))


@pytest.fixture(scope="module")
def sentences(clips: Clips) -> Clips:
    return compose(clips, 20, glosses=(2, 4), seed=1)


def test_each_sentence_is_of_one_subject_and_names_what_is_signed(clips: Clips, sentences: Clips) -> None:
    labels = set(clips.column("label"))
    for glosses in sentences.table["glosses"].to_pylist():
        assert 2 <= len(glosses) <= 4
        assert set(glosses) <= labels
    assert set(sentences.column("subject")) <= set(clips.column("subject"))
    assert set(sentences.column("label")) == {None}


def test_times_increase_and_every_frame_of_the_clips_is_there(clips: Clips, sentences: Clips) -> None:
    for row in range(len(sentences)):
        times = sentences.time_s_S[int(sentences.offsets[row]) : int(sentences.offsets[row + 1])]
        assert float(times[0]) == 0
        assert (times.diff() > 0).all()
    lengths = sentences.offsets.diff().tolist()
    assert lengths == sentences.table["num_frames"].to_pylist()
    assert min(lengths) > 2 * int(clips.offsets.diff().min())


def test_a_transition_glides_from_the_last_hand_to_the_next(clips: Clips) -> None:
    filled = {part: torch.zeros_like(points) for part, points in clips.parts.items()}
    for row in range(len(clips)):
        filled["left_hand"][int(clips.offsets[row]) : int(clips.offsets[row + 1])] = float(row)
    flat = Clips(clips.table, clips.offsets, clips.time_s_S, clips.aspect_N, filled)
    path = compose(flat, 1, glosses=(2, 2), transition_s=(0.5, 0.5), seed=3).parts["left_hand"][:, 0, 0]
    start, end = float(path[0]), float(path[-1])
    between = path[(path != start) & (path != end)]
    assert len(between) >= 5 or start == end
    assert (between.diff().sign() == (1 if end > start else -1)).all()


def test_the_same_seed_composes_the_same(clips: Clips, sentences: Clips) -> None:
    assert compose(clips, 20, glosses=(2, 4), seed=1).fingerprint == sentences.fingerprint
    assert compose(clips, 20, glosses=(2, 4), seed=2).fingerprint != sentences.fingerprint


def test_nothing_signed_is_a_pause_and_never_a_gloss(clips: Clips) -> None:
    labels = ["-" if i % 3 else "sign" for i in range(len(clips))]
    table = clips.table.set_column(clips.table.schema.get_field_index("label"), "label", [labels])
    glosses = compose(Clips(table, *list(vars(clips).values())[1:]), 10, pause=1.0).table["glosses"].to_pylist()
    assert {gloss for sentence in glosses for gloss in sentence} == {"sign"}


def test_nothing_to_compose_is_said(clips: Clips) -> None:
    with pytest.raises(UserError, match="no subject has two labelled clips"):
        compose(clips.select([0]), 5)
