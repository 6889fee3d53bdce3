"""If these fail, models are trained on frames of another clip, on padding, or on data that nobody should trust."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.errors import UserError
from sigflow.schema import LANDMARKS_DIR, decode_frames
from sigflow.storage import Location

HANDS = ("left_hand", "right_hand")
Write = Callable[..., Location]


@pytest.fixture(scope="session")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, HANDS)


@pytest.fixture(scope="session")
def table(gesture_landmarks: Location) -> pa.Table:
    return (gesture_landmarks / LANDMARKS_DIR / "all.parquet").read_parquet()


@pytest.fixture
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    def write(*tables: pa.Table) -> Location:
        place = Location(str(tmp_path_factory.mktemp("data")))
        for number, table in enumerate(tables):
            (place / LANDMARKS_DIR / f"{number}.parquet").write_parquet(table)
        return place

    return write


def changed(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


def test_every_clip_keeps_its_own_frames_times_and_label(clips: Clips, table: pa.Table) -> None:
    assert clips.column("clip_id") == sorted(table["clip_id"].to_pylist())
    order = {clip_id: row for row, clip_id in enumerate(table["clip_id"].to_pylist())}
    for i in (0, 7, 59):
        row = table.slice(order[str(clips.column("clip_id")[i])], 1)
        inputs = clips.batch([i])
        for part in HANDS:
            expected = decode_frames(row[part])[0].reshape(-1, 21, 3)
            assert np.array_equal(inputs.parts[part][0].numpy(), expected, equal_nan=True)
        assert np.allclose(inputs.time_s[0], np.array(row["time_ms"][0].as_py()) / 1000)
        assert float(inputs.aspect[0]) == pytest.approx(row["width"][0].as_py() / row["height"][0].as_py())
        assert int(inputs.lengths[0]) == row["num_frames"][0].as_py()
        assert clips.column("label")[i] == row["label"][0].as_py()


def test_shorter_clips_of_a_batch_are_padded_with_missing_never_with_the_next_clip(clips: Clips) -> None:
    index = [3, 58, 59, 0]
    inputs = clips.batch(index)
    assert inputs.time_s.shape[1] == int(inputs.lengths.max())
    assert len(set(inputs.lengths.tolist())) > 1
    for row, i in enumerate(index):
        alone, count = clips.batch([i]), int(inputs.lengths[row])
        for padded, single in zip(inputs.flat()[:3], alone.flat()[:3], strict=True):
            assert torch.equal(padded[row, :count].nan_to_num(9.0), single[0].nan_to_num(9.0))
            assert padded[row, count:].isnan().all()


def test_a_batch_by_tensor_is_the_batch_by_list(clips: Clips) -> None:
    for a, b in zip(clips.batch([4, 2]).flat(), clips.batch(torch.tensor([4, 2])).flat(), strict=True):
        assert torch.equal(a.nan_to_num(9.0), b.nan_to_num(9.0))


def test_only_the_parts_that_a_recipe_reads_are_loaded(gesture_landmarks: Location) -> None:
    assert list(load_clips(gesture_landmarks, ("right_hand",)).parts) == ["right_hand"]


def test_clips_of_many_files_are_the_clips_of_one(write: Write, table: pa.Table, clips: Clips) -> None:
    assert load_clips(write(table.slice(40), table.slice(0, 40)), HANDS).fingerprint == clips.fingerprint


@pytest.mark.parametrize("name", ["label", "subject", "split"])
def test_a_changed_label_subject_or_split_is_other_data(write: Write, table: pa.Table, clips: Clips, name: str) -> None:
    other = changed(table, name, ["other", *table[name].to_pylist()[1:]])
    assert load_clips(write(other), HANDS).fingerprint != clips.fingerprint


def test_one_moved_landmark_is_other_data(write: Write, table: pa.Table, clips: Clips) -> None:
    frames = table["right_hand"].to_pylist()
    next(frame for frame in frames[0] if frame)[5] += 1e-3
    assert load_clips(write(changed(table, "right_hand", frames)), HANDS).fingerprint != clips.fingerprint


def test_worker_processes_get_the_same_clips_from_shared_read_only_memory(clips: Clips) -> None:
    arrays = clips.arrays()
    for array in (arrays["time_s"], *arrays["parts"].values()):
        array.setflags(write=False)
    again = Clips.from_arrays(arrays)
    assert again.fingerprint == clips.fingerprint
    assert again.column("clip_id") == clips.column("clip_id")


def test_moving_to_a_device_changes_nothing(clips: Clips) -> None:
    assert clips.to(torch.device("cpu")).fingerprint == clips.fingerprint


def test_unknown_subjects_stay_unknown(write: Write, table: pa.Table) -> None:
    assert set(load_clips(write(changed(table, "subject", [None] * 60)), HANDS).column("subject")) == {None}


def test_a_clip_without_any_detection_is_all_missing(write: Write, table: pa.Table) -> None:
    one = table.slice(0, 1)
    empty = changed(one, "right_hand", [[None] * one["num_frames"][0].as_py()])
    inputs = load_clips(write(empty), HANDS).batch([0])
    assert all(points.isnan().all() for points in inputs.parts.values())
    assert not inputs.time_s.isnan().any()


def test_an_empty_or_missing_folder_is_refused_with_the_reason(write: Write) -> None:
    with pytest.raises(UserError, match=r"holds no landmarks/\*\.parquet"):
        load_clips(Location(write(pa.table({"x": [1]})).uri + "/landmarks"), HANDS)
    with pytest.raises(UserError, match=r"does not exist.*jobs/extract\.py"):
        load_clips(Location("/nowhere/at/all"), HANDS)


def test_a_part_that_was_not_extracted_is_refused(gesture_landmarks: Location) -> None:
    with pytest.raises(UserError, match="has no pose, face; extract again"):
        load_clips(gesture_landmarks, ("right_hand", "face", "pose"))


def test_a_part_that_only_some_files_hold_is_refused(write: Write, table: pa.Table) -> None:
    with pytest.raises(UserError, match="has no left_hand; extract again"):
        load_clips(write(table.slice(0, 30), table.slice(30).drop(["left_hand"])), HANDS)


def test_a_clip_that_is_there_twice_is_refused(write: Write, table: pa.Table) -> None:
    with pytest.raises(UserError, match=r"holds 2 clips twice, ada/.* first"):
        load_clips(write(table, table.slice(0, 2)), HANDS)


def test_rows_of_different_extractors_are_refused_unless_asked_for(write: Write, table: pa.Table) -> None:
    place = write(changed(table, "extractor", [*["old"] * 10, *["new"] * 50]))
    with pytest.raises(UserError, match="mixes rows of 2 extractors"):
        load_clips(place, HANDS)
    assert len(load_clips(place, HANDS, mixed=True)) == len(table)


def test_gaps_in_the_middle_of_a_clip_stay_missing(clips: Clips, table: pa.Table) -> None:
    nulls = sum(frame is None for part in HANDS for clip in table[part].to_pylist() for frame in clip)
    missing = sum(int(points[:, 0, 0].isnan().sum()) for points in clips.parts.values())
    assert missing == nulls > int(pc.sum(table["num_frames"]).as_py())  # one hand is never there, the other sometimes
