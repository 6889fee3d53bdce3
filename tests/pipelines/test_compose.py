"""If these fail, composed sentences cannot be trained on as extracted ones are."""

from pathlib import Path

from sigflow.data.clips import load_clips
from sigflow.data.sentences import compose
from sigflow.pipelines.compose import compose_sentences
from sigflow.storage import Location, locate

HANDS = ("left_hand", "right_hand")


def test_sentences_are_rows_of_the_contract_and_read_back_as_they_were(
    gesture_landmarks: Location, tmp_path: Path
) -> None:
    out = locate(tmp_path / "sentences")
    counts = compose_sentences(gesture_landmarks, out, parts=HANDS, count=12, glosses=(2, 3), seed=4)
    clips = load_clips(out, HANDS)
    again = compose(load_clips(gesture_landmarks, HANDS), 12, glosses=(2, 3), seed=4)
    assert counts["clips"] == len(clips) == 12
    assert counts["frames"] == int(clips.offsets[-1])
    assert clips.table["glosses"].to_pylist() == again.table["glosses"].to_pylist()
    for part in HANDS:
        assert clips.parts[part].equal(again.parts[part]) or (
            (clips.parts[part] - again.parts[part]).abs().nan_to_num(0).max() == 0
        )
