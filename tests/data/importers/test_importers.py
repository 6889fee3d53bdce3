"""If these fail, a job cannot hand items to its workers, or real recordings of others come in wrong."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from sigflow.data.importers import FORMATS, ImportedClip, ImportFailure, ImportOptions, plan, read
from sigflow.errors import UserError
from sigflow.schema import CLIP_FIELDS, encode_frames, part_fields
from sigflow.storage import locate

OPTIONS = ImportOptions()


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    folder = tmp_path / "hello/0"
    folder.mkdir(parents=True)
    for number in range(2):
        np.save(folder / f"{number}.npy", np.full(258, 0.5))
    return tmp_path


def test_items_survive_the_way_to_a_worker(sequence: Path) -> None:
    items = plan("mp_data", locate(sequence), OPTIONS)
    assert pickle.loads(pickle.dumps(items)) == items
    (result,) = read(items[0], OPTIONS)
    assert isinstance(result, ImportedClip)
    encoded = {
        name: encode_frames([result.columns[name]], field)
        for part in ("pose", "left_hand")
        for field in part_fields(part)
        if (name := field.name) in result.columns
    }
    assert [*encoded] == ["pose", "pose_visibility", "left_hand"]
    parts = {"pose", "pose_visibility", "left_hand", "right_hand"}
    assert result.columns.keys() - parts <= {field.name for field in CLIP_FIELDS}
    assert {field.name for field in CLIP_FIELDS if not field.nullable} <= result.columns.keys()


@pytest.mark.parametrize("layout", FORMATS)
def test_nothing_of_the_layout_is_refused_in_one_line(tmp_path: Path, layout: str) -> None:
    for source, message in ((tmp_path, "holds no"), (tmp_path / "nowhere", "does not exist")):
        with pytest.raises(UserError, match=message) as refused:
            plan(layout, locate(source), OPTIONS)
        assert "\n" not in str(refused.value)


def test_an_unknown_format_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known are mp_data, islr, pose, npz"):
        plan("coco", locate(tmp_path), OPTIONS)


def test_a_subject_key_is_for_npz_alone(sequence: Path) -> None:
    with pytest.raises(UserError, match="is for npz"):
        plan("mp_data", locate(sequence), ImportOptions(subject_key="block"))
    with pytest.raises(ValidationError, match="not both"):
        ImportOptions(subject="ada", subject_key="block")


def test_a_file_that_goes_away_after_planning_fails_its_clip(sequence: Path) -> None:
    (item,) = plan("mp_data", locate(sequence), OPTIONS)
    (sequence / "hello/0/1.npy").unlink()
    (result,) = read(item, OPTIONS)
    assert isinstance(result, ImportFailure)
    assert result.stage == "read"


# What other people recorded, for whoever has it: SIGFLOW_TEST_DATA names the folder.
@pytest.mark.parametrize(
    ("layout", "name", "clips", "frames"),
    [
        ("mp_data", "mp_data", 24, 720),
        ("npz", "recorder_a.npz", 180, 5400),
        ("npz", "recorder_b.npz", 180, 5400),
        ("npz", "signs33.npz", 4634, 92680),
        ("pose", "fingerspelling", 56, 1560),
    ],
)
def test_real_recordings_come_in_whole(layout: str, name: str, clips: int, frames: int) -> None:
    source = locate(Path(os.environ.get("SIGFLOW_TEST_DATA", "recordings")) / name)
    if not source.exists():
        pytest.skip("the recordings are not here")
    results = [result for item in plan(layout, source, OPTIONS) for result in read(item, OPTIONS)]
    found = [result for result in results if isinstance(result, ImportedClip)]
    assert (len(found), len(results)) == (clips, clips)
    assert sum(clip.num_frames for clip in found) == frames
    for clip in found:
        for hand in ("left_hand", "right_hand"):
            assert not (clip.columns[hand] == 0).all(axis=1).any()
        assert clip.columns["label"]
