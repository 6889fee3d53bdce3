"""If these fail, pictures of data show landmarks on the wrong frames, or hide what the detector lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from matplotlib import colors

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import DetectorOptions
from sigflow.landmarks.extraction import Extracted, extract_clip, landmark_table
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, write_video
from sigflow.report import Curves, Panel, clip_title, contact_sheet, feature_chart
from tests.report.pictures import pixels, share

ADA = SUBJECTS[0]
ORANGE, BLUE = "#ff7f2a", "#1f9bff"  # the right hand's lines and the left's


@pytest.fixture(scope="module")
def models() -> Mapping[str, Path]:
    return {"hands": model_path("hands")}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "swipe.mp4"
    write_video(path, render_clip(ADA, "swipe_in", 0, num_frames=16).frames_THWC, 25)
    return path


def table(video: Path, models: Mapping[str, Path], options: DetectorOptions, **given: Any) -> pa.Table:
    row = {"clip_id": "swipe.mp4", "source": str(video), "label": "swipe_in", "glosses": None, "subject": "ada"}
    clip = extract_clip(row | {"split": None, "start_s": None, "end_s": None} | given, options, models)
    assert isinstance(clip, Extracted), clip
    return landmark_table([clip], options)


def test_a_contact_sheet_draws_the_hand_that_was_found(video: Path, models: Mapping[str, Path]) -> None:
    rows = table(video, models, DetectorOptions())
    picture = pixels(contact_sheet(pa.concat_tables([rows, rows]), frames_each=3))
    assert share(picture, ORANGE) > 0.001
    assert share(picture, BLUE) == 0
    one = pixels(contact_sheet(rows, frames_each=3))
    assert one.shape[1] == picture.shape[1]
    assert one.shape[0] < picture.shape[0]


def test_a_contact_sheet_shows_a_mirrored_video_as_it_was_looked_at(
    video: Path, models: Mapping[str, Path], tmp_path: Path
) -> None:
    frames = render_clip(ADA, "swipe_in", 0, num_frames=16).frames_THWC
    write_video(tmp_path / "selfie.mp4", np.ascontiguousarray(frames[:, :, ::-1]), 25)
    plain = pixels(contact_sheet(table(video, models, DetectorOptions()), frames_each=3))
    flipped = pixels(
        contact_sheet(table(tmp_path / "selfie.mp4", models, DetectorOptions(mirrored=True)), frames_each=3)
    )
    assert np.abs(plain - flipped).mean() < 0.01


def test_a_contact_sheet_shows_the_frames_of_a_segment(video: Path, models: Mapping[str, Path], tmp_path: Path) -> None:
    frames = render_clip(ADA, "swipe_in", 0, num_frames=16).frames_THWC
    write_video(tmp_path / "cut.mp4", frames[8:], 25)
    segment = table(video, models, DetectorOptions(), start_s=0.32, clip_id="swipe.mp4#0.32-")
    cut = table(tmp_path / "cut.mp4", models, DetectorOptions())
    shown, expected = (pixels(contact_sheet(rows, frames_each=3)) for rows in (segment, cut))
    assert np.abs(shown - expected).mean() < 0.01


def test_a_clip_shorter_than_the_sheet_is_drawn_all_the_same(video: Path, models: Mapping[str, Path]) -> None:
    assert share(pixels(contact_sheet(table(video, models, DetectorOptions(), end_s=0.05))), ORANGE) > 0


def curves(missing: slice) -> Curves:
    values_TF = np.tile(np.linspace(0, 1, 40)[:, None], (1, 2))
    values_TF[missing] = np.nan
    return Curves("wave · ada", np.arange(40) / 25, values_TF)


PANELS = ((Panel("rising", {"first": 0, "second": 1}), Panel("alone", {"second": 1})),)


def test_frames_that_are_missing_leave_a_gap_in_the_curves() -> None:
    """A line across the gap would hide what the detector lost."""
    whole, gap, nothing = (
        share(pixels(feature_chart([curves(missing)], PANELS)), "C0")
        for missing in (slice(0, 0), slice(5, 35), slice(0, 40))
    )
    assert whole > 1.5 * gap
    assert gap > nothing > 0  # the legend


def test_each_clip_adds_a_row_of_curves() -> None:
    one, three = (pixels(feature_chart([curves(slice(5, 9))] * count, PANELS)) for count in (1, 3))
    assert three.shape[0] == pytest.approx(3 * one.shape[0], abs=3)
    assert three.shape[1] == one.shape[1]


def test_curves_of_a_clip_of_one_frame_are_drawn_all_the_same() -> None:
    assert pixels(feature_chart([Curves("", np.zeros(1), np.ones((1, 2)))], PANELS)).size


def test_values_that_grow_downwards_are_drawn_so() -> None:
    """A chin above the lips would be read as a mistake of the detector."""
    up, down = (
        pixels(feature_chart([curves(slice(0, 0))], [[PANELS[0][1]._replace(down=down)]])) for down in (False, True)
    )
    blue = np.abs(np.stack([up, down]) - np.array(colors.to_rgb("C0"))).max(-1) < 0.06
    right_half = blue[:, up.shape[0] // 4 :, up.shape[1] * 3 // 4 :]
    up_at, down_at = (np.argwhere(part)[:, 0].mean() for part in right_half)
    assert up_at < down_at


def test_a_clip_without_label_and_subject_is_called_by_its_name() -> None:
    clip = {"clip_id": "a.mp4", "label": None, "subject": None}
    assert clip_title(clip) == "a.mp4"
    assert clip_title(clip | {"label": "wave"}) == "wave"
    assert clip_title(clip | {"label": "wave", "subject": "ada"}) == "wave · ada"
