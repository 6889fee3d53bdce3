"""If these fail, stored landmarks come back changed, missing ones as numbers, or in columns nobody looks for."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from sigflow.schema import (
    CLIP_FIELDS,
    QUARANTINE_SCHEMA,
    decode_frames,
    encode_frames,
    landmark_schema,
    part_fields,
    parts_in,
)
from sigflow.topology import PARTS

VECTORS = part_fields("left_hand")[0]
NUMBERS = next(field for field in part_fields("left_hand") if field.name == "left_hand_score")


@st.composite
def clips(draw: st.DrawFn) -> list[np.ndarray]:
    """Up to four clips of up to five frames, some of them without a detection, some clips without a frame."""
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    drawn = [rng.normal(size=(length, 63)).astype(np.float32) for length in lengths]
    for clip in drawn:
        clip[rng.random(len(clip)) < 0.4] = np.nan
    return drawn


@given(clips())
def test_landmarks_come_back_bit_for_bit_and_missing_as_missing(written: list[np.ndarray]) -> None:
    values, offsets = decode_frames(encode_frames(written, VECTORS))
    np.testing.assert_array_equal(values, np.concatenate(written))
    np.testing.assert_array_equal(np.diff(offsets), [len(clip) for clip in written])
    assert values.dtype == np.float32


@given(clips())
def test_numbers_per_frame_come_back_too(written: list[np.ndarray]) -> None:
    scores = [clip[:, 0] for clip in written]
    values, offsets = decode_frames(encode_frames(scores, NUMBERS))
    np.testing.assert_array_equal(values, np.concatenate(scores))
    assert offsets[-1] == len(values)


@given(clips(), st.data())
def test_any_slice_of_a_table_decodes_to_its_own_clips(written: list[np.ndarray], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(written) - 1))
    stop = data.draw(st.integers(start + 1, len(written)))
    values, offsets = decode_frames(encode_frames(written, VECTORS).slice(start, stop - start))
    np.testing.assert_array_equal(values, np.concatenate(written[start:stop]))
    np.testing.assert_array_equal(np.diff(offsets), [len(clip) for clip in written[start:stop]])


@given(clips())
def test_parquet_changes_nothing(written: list[np.ndarray]) -> None:
    stream = io.BytesIO()
    pq.write_table(pa.table([encode_frames(written, VECTORS)], schema=pa.schema([VECTORS])), stream, row_group_size=1)
    column = pq.read_table(stream)["left_hand"]
    np.testing.assert_array_equal(decode_frames(column)[0], np.concatenate(written))


def test_a_frame_without_a_hand_is_null_as_a_whole() -> None:
    clip = np.ones((3, 63), np.float32)
    clip[1] = np.nan
    (stored,) = encode_frames([clip], VECTORS).to_pylist()
    assert stored == [[1.0] * 63, None, [1.0] * 63]


def test_points_that_an_importer_does_not_have_stay_missing_beside_those_it_has() -> None:
    clip = np.ones((2, 63), np.float32)
    clip[:, 60:] = np.nan
    np.testing.assert_array_equal(decode_frames(encode_frames([clip], VECTORS))[0], clip)


def test_clips_from_several_files_decode_as_one_table() -> None:
    first, second = (np.full((frames, 63), frames, np.float32) for frames in (2, 3))
    column = pa.chunked_array([encode_frames([first], VECTORS), encode_frames([second], VECTORS)])
    values, offsets = decode_frames(column)
    np.testing.assert_array_equal(values, np.concatenate([first, second]))
    assert offsets.tolist() == [0, 2, 5]


def test_an_imported_clip_without_this_part_counts_no_frames() -> None:
    column = pa.array([None, [[1.0] * 63]], VECTORS.type)
    values, offsets = decode_frames(column)
    assert offsets.tolist() == [0, 0, 1]
    assert values.tolist() == [[1.0] * 63]


def test_an_empty_table_decodes_to_nothing() -> None:
    for column in (pa.chunked_array([], VECTORS.type), pa.array([], VECTORS.type)):
        values, offsets = decode_frames(column)
        assert values.shape == (0, 63)
        assert offsets.tolist() == [0]


def test_columns_of_a_part_are_those_documented() -> None:
    assert [field.name for field in part_fields("right_hand")] == [
        "right_hand", "right_hand_world", "right_hand_score", "right_hand_handedness"
    ]  # fmt: skip
    assert [field.name for field in part_fields("pose")] == ["pose", "pose_world", "pose_visibility", "pose_presence"]
    sizes = {field.name: field.type.value_type.list_size for field in part_fields("face")}
    assert sizes == {"face": 3 * 478, "blendshapes": 52}


def test_a_file_says_which_parts_it_holds() -> None:
    assert parts_in(landmark_schema(("face", "left_hand"))) == ("left_hand", "face")
    assert parts_in(landmark_schema(PARTS)) == tuple(PARTS)
    assert parts_in(pa.schema(CLIP_FIELDS)) == ()


def test_a_clip_and_its_failure_are_found_by_the_same_columns() -> None:
    assert set(QUARANTINE_SCHEMA.names) - {"stage", "error"} <= {field.name for field in CLIP_FIELDS}
