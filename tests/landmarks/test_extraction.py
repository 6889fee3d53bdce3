"""If these fail, stored rows break the contract, or one bad video among thousands ends the job or disappears."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sigflow import storage
from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import (
    UNREAD,
    Extracted,
    Failed,
    extract_clip,
    extract_clips,
    failure,
    landmark_table,
    quarantine_table,
)
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from sigflow.landmarks.video import Sampling
from sigflow.schema import QUARANTINE_SCHEMA, decode_frames, landmark_schema
from sigflow.storage import locate
from sigflow.topology import MODELS

ADA = SUBJECTS[0]
NUM_FRAMES = 10


@pytest.fixture(scope="module")
def models() -> Mapping[str, Path]:
    return {model: model_path(model) for model in MODELS}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "victory.mp4"
    write_video(path, render_clip(ADA, "victory", 0, num_frames=NUM_FRAMES).frames_THWC, 25)
    return path


def manifest_row(source: Path | str, **given: Any) -> dict[str, Any]:
    """A clip as the manifest names it."""
    row = {"clip_id": "ada/victory/0.mp4", "source": str(source), "label": "victory", "glosses": None}
    return row | {"subject": "ada", "split": None, "start_s": None, "end_s": None} | given


def extracted(row: dict[str, Any], options: DetectorOptions, models: Mapping[str, Path]) -> Extracted:
    result = extract_clip(row, options, models)
    assert isinstance(result, Extracted), result
    return result


def failed(row: dict[str, Any], models: Mapping[str, Path]) -> Failed:
    result = extract_clip(row, DetectorOptions(), models)
    assert isinstance(result, Failed), result
    return result


def test_a_row_holds_what_the_manifest_and_the_video_say(video: Path, models: Mapping[str, Path]) -> None:
    options = DetectorOptions()
    clip = extracted(manifest_row(video, glosses=["PEACE"], split="train"), options, models)
    table = landmark_table([clip], options)
    assert table.schema.equals(landmark_schema(("left_hand", "right_hand")))
    (row,) = table.to_pylist()
    assert {name: row[name] for name in ("clip_id", "source", "label", "glosses", "subject", "split")} == {
        "clip_id": "ada/victory/0.mp4", "source": str(video), "label": "victory", "glosses": ["PEACE"],
        "subject": "ada", "split": "train",
    }  # fmt: skip
    assert (row["num_frames"], row["width"], row["height"]) == (NUM_FRAMES, 320, 240)
    assert row["fps"] == pytest.approx(25)
    assert row["time_ms"] == pytest.approx([40 * number for number in range(NUM_FRAMES)])
    assert row["extractor"] == options.fingerprint


def test_the_hand_that_is_there_is_stored_and_the_other_is_missing(video: Path, models: Mapping[str, Path]) -> None:
    table = landmark_table([extracted(manifest_row(video), DetectorOptions(), models)], DetectorOptions())
    hand, offsets = decode_frames(table["right_hand"])
    assert offsets.tolist() == [0, NUM_FRAMES]
    assert not np.isnan(hand).any()
    truth = render_clip(ADA, "victory", 0, num_frames=NUM_FRAMES).landmarks_TNP2[:, 0]
    assert np.abs(hand.reshape(NUM_FRAMES, 21, 3)[..., :2] - truth).mean() < 0.03
    (row,) = table.to_pylist()
    assert set(row["right_hand_handedness"]) == {"Right"}
    assert min(row["right_hand_score"]) > 0.5
    for column in ("left_hand", "left_hand_world", "left_hand_score", "left_hand_handedness"):
        assert row[column] == [None] * NUM_FRAMES, column


def test_all_parts_have_their_columns_also_when_nothing_was_seen(
    video: Path, models: Mapping[str, Path], tmp_path: Path
) -> None:
    options = DetectorOptions(models=("hands", "pose", "face"), sampling=Sampling(every=4))
    table = landmark_table([extracted(manifest_row(video), options, models)], options)
    assert table.schema.equals(landmark_schema(("left_hand", "right_hand", "pose", "face")))
    for column in ("face", "blendshapes"):  # there is a hand in the video, and no face
        assert table[column].to_pylist() == [[None] * 3], column
    file = locate(tmp_path) / "rows.parquet"
    file.write_parquet(table)
    assert file.read_parquet().equals(table)


def test_only_the_parts_asked_for_are_stored(video: Path, models: Mapping[str, Path]) -> None:
    options = DetectorOptions(models=("face",), sampling=Sampling(every=5))
    clip = extracted(manifest_row(video), options, models)
    assert landmark_table([clip], options).schema.equals(landmark_schema(("face",)))
    assert np.isnan(clip.columns["face"]).all()


def test_clips_of_unequal_length_share_a_file(video: Path, models: Mapping[str, Path]) -> None:
    options = DetectorOptions()
    rows = [manifest_row(video, clip_id="all"), manifest_row(video, clip_id="part", start_s=0.08, end_s=0.24)]
    table = landmark_table([extracted(row, options, models) for row in rows], options)
    assert table["num_frames"].to_pylist() == [NUM_FRAMES, 4]
    assert table["time_ms"].to_pylist()[1] == pytest.approx([0, 40, 80, 120])
    for column in ("right_hand", "left_hand_score", "time_ms", "right_hand_handedness"):
        assert [len(frames) for frames in table[column].to_pylist()] == [NUM_FRAMES, 4], column


def test_extracting_again_gives_the_same_row(video: Path, models: Mapping[str, Path]) -> None:
    options = DetectorOptions()
    first, again = (landmark_table([extracted(manifest_row(video), options, models)], options) for _ in range(2))
    assert first.equals(again)


def test_a_single_frame_is_a_clip_without_a_rate(video: Path, models: Mapping[str, Path]) -> None:
    clip = extracted(manifest_row(video, end_s=0.02), DetectorOptions(), models)
    (row,) = landmark_table([clip], DetectorOptions()).to_pylist()
    assert (row["num_frames"], row["fps"], row["time_ms"]) == (1, None, [0.0])


def test_a_phone_video_has_the_size_that_a_viewer_sees(models: Mapping[str, Path], tmp_path: Path) -> None:
    frames = render_clip(ADA, "victory", 0, num_frames=4).frames_THWC
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 240, 320, "yuv420p"
        stream.set_display_rotation(90)
        for frame in frames:  # the sensor lies on its side
            turned = np.ascontiguousarray(np.rot90(frame, -1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(turned, format="rgb24")))
        container.mux(stream.encode())
    clip = extracted(manifest_row(tmp_path / "phone.mp4"), DetectorOptions(), models)
    assert (clip.columns["width"], clip.columns["height"]) == (320, 240)
    assert not np.isnan(clip.columns["right_hand"]).any()


@pytest.mark.parametrize("content", [b"", b"hello " * 100], ids=["empty", "text"])
def test_a_file_that_is_no_video_is_quarantined_as_unopened(
    content: bytes, models: Mapping[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    columns = failed(manifest_row(path), models).columns
    assert columns["stage"] == "open"
    assert ("not a readable video" if content else "the file is empty") in columns["error"]
    assert columns["source"] == str(path)


def test_a_video_that_breaks_off_is_quarantined_as_undecoded(
    video: Path, models: Mapping[str, Path], tmp_path: Path
) -> None:
    # Its index comes first, so that the file opens well, and its frames end in the middle.
    path = tmp_path / "half.mp4"
    with av.open(str(video)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    assert failed(manifest_row(path), models).columns["stage"] == "decode"


def test_a_video_without_frames_is_quarantined(models: Mapping[str, Path], tmp_path: Path) -> None:
    with av.open(str(tmp_path / "none.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert failed(manifest_row(tmp_path / "none.mp4"), models).columns["stage"] == "open"


def test_a_segment_behind_the_end_is_quarantined(video: Path, models: Mapping[str, Path]) -> None:
    columns = failed(manifest_row(video, start_s=60.0), models).columns
    assert (columns["stage"], columns["error"]) == ("decode", "no frame could be decoded, or none in the segment")


@pytest.mark.parametrize("source", ["/nowhere/a.mp4", "/", "http://host/a.mp4"])
def test_a_source_that_cannot_be_opened_is_quarantined(source: str, models: Mapping[str, Path]) -> None:
    assert failed(manifest_row(source), models).columns["stage"] == "open"


def test_storage_that_does_not_answer_is_told_from_a_bad_video(
    models: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a clip is asked for again; what went to quarantine is not."""
    monkeypatch.setattr(storage, "_ATTEMPTS", 1)
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "ENDPOINT_URL": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert failed(manifest_row("s3://no-answer/clip.mp4"), models).columns["stage"] == UNREAD


def test_trouble_with_the_model_is_told_from_trouble_with_the_video(video: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "hand_landmarker.task"
    damaged.write_bytes(b"not a model")
    assert failed(manifest_row(video), {"hands": damaged}).columns["stage"] == "detect"


def test_failures_are_kept_as_one_line_with_what_made_them() -> None:
    options = DetectorOptions()
    table = quarantine_table([failure(manifest_row("/a.mp4"), options, "detect", "two\n lines " + "x" * 1000)])
    assert table.schema.equals(QUARANTINE_SCHEMA)
    (row,) = table.to_pylist()
    assert row["error"].startswith("two lines x")
    assert len(row["error"]) == 500
    assert json.loads(row["extractor"])["mode"] == "video"


def test_a_block_without_clips_is_an_empty_table_of_the_contract() -> None:
    assert landmark_table([], DetectorOptions()).schema.equals(landmark_schema(("left_hand", "right_hand")))
    assert quarantine_table([]).schema.equals(QUARANTINE_SCHEMA)


def test_segments_of_one_video_are_read_in_one_pass_and_equal_those_read_alone(
    video: Path, models: Mapping[str, Path]
) -> None:
    options = DetectorOptions()
    ranges = [(0.0, 0.2), (0.12, 0.3), (0.28, None)]
    rows = [manifest_row(video, clip_id=str(number), start_s=a, end_s=b) for number, (a, b) in enumerate(ranges)]
    read = []
    together = list(extract_clips(rows, options, models, on_frame=lambda: read.append(1)))
    assert len(read) == NUM_FRAMES
    alone = [extract_clip(row, options, models) for row in rows]
    tables = [
        landmark_table(
            sorted((c for c in clips if isinstance(c, Extracted)), key=lambda c: c.columns["clip_id"]), options
        )
        for clips in (together, alone)
    ]
    assert tables[0].equals(tables[1])
    assert tables[0]["num_frames"].to_pylist() == [5, 5, 3]
    assert tables[0]["time_ms"][1].as_py() == pytest.approx([0, 40, 80, 120, 160], abs=1e-3)


def test_one_segment_without_frames_costs_itself_alone(video: Path, models: Mapping[str, Path]) -> None:
    rows = [manifest_row(video, clip_id="good"), manifest_row(video, clip_id="late", start_s=3.0, end_s=4.0)]
    results = {clip.columns["clip_id"]: clip for clip in extract_clips(rows, DetectorOptions(), models)}
    assert isinstance(results["good"], Extracted)
    assert isinstance(results["late"], Failed)


def test_a_file_that_was_cut_off_is_not_taken_for_a_short_clip(
    video: Path, models: Mapping[str, Path], tmp_path: Path
) -> None:
    frames = render_clip(ADA, "victory", 0, num_frames=20).frames_THWC
    for name, rate in (("fast.mp4", 25), ("cut.mkv", 5)):
        options = {"movflags": "faststart"} if name.endswith("mp4") else {}
        with av.open(str(tmp_path / name), "w", options=options) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        assert failed(manifest_row(tmp_path / name), models).columns["stage"] == "decode"


def test_a_frame_of_absurd_size_is_refused_before_it_is_decoded(models: Mapping[str, Path], tmp_path: Path) -> None:
    gif = b"GIF89a" + (12000).to_bytes(2, "little") * 2 + b"\x80\x00\x00" + b"\x00" * 6 + b"\x2c" + b"\x00" * 4
    gif += (12000).to_bytes(2, "little") * 2 + b"\x00\x02\x02\x4c\x01\x00\x3b"
    (tmp_path / "bomb.gif").write_bytes(gif)
    columns = failed(manifest_row(tmp_path / "bomb.gif"), models).columns
    assert "larger than" in columns["error"]
