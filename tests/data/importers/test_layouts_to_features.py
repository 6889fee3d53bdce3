"""If these fail, the same recording gives other numbers in another layout, or what was never seen counts as seen."""

import json
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sigflow.data.clips import load_clips
from sigflow.data.importers import ImportOptions, plan
from sigflow.errors import UserError
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import FeatureConfig, Frontend, compute_features
from sigflow.features.hand import HandFeatures
from sigflow.features.inputs import Inputs
from sigflow.features.lips import LipsFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from sigflow.pipelines.ingest import import_block
from sigflow.storage import Location, locate
from tests.data.importers.recordings import (
    ALL,
    BUSY,
    COUNTS,
    FPS,
    HANDS,
    HEIGHT,
    LAYOUTS,
    SIZES,
    WIDTH,
    Signer,
    npz,
    pose,
    signers,
    write_pose,
)

OPTIONS = ImportOptions(fps=FPS, width=WIDTH, height=HEIGHT)
MAX_GAP_S = 0.5
FEATURES: dict[str, FeatureConfig] = {
    **{
        f"hand_{side}_{centre}": HandFeatures(side=side, centre=centre)
        for side in ("moving", "left", "right", "both")
        for centre in ("clip", "frame")
    },
    "body": BodyFeatures(),
    "lips": LipsFeatures(action_units=False),
    "lips_global": LipsFeatures(action_units=False, normalisation="global"),
    "lips_action_units": LipsFeatures(),
    "phonology": PhonologyFeatures(),
}


def frontend(feature: FeatureConfig) -> Frontend:
    """The clip's own frames, gaps filled."""
    return Frontend(features=(feature,), resampling=Resampling(num_frames=None, max_gap_s=MAX_GAP_S))


def values_of(inputs: Inputs, feature: FeatureConfig) -> dict[str, np.ndarray]:
    """(T, size) by slice of a single clip."""
    values, lengths = compute_features(inputs, frontend(feature))
    columns = frontend(feature).slices.items()
    return {name.partition(".")[2]: values[0, : int(lengths[0]), where].numpy() for name, where in columns}


@cache
def truth(feature: FeatureConfig, row: int) -> dict[str, np.ndarray]:
    """Of a clip's true landmarks."""
    return values_of(true_inputs(signers()[row]), feature)


def true_inputs(parts: Signer) -> Inputs:
    """What MediaPipe itself would have given, without the irises."""
    frames = len(parts["pose"])
    given = {part: torch.from_numpy(parts[part])[None] for part in SIZES}
    given["face"] = torch.nn.functional.pad(given["face"], (0, 0, 0, 10), value=torch.nan)
    given["blendshapes"] = torch.full((1, frames, 52), torch.nan)
    times = torch.arange(frames, dtype=torch.float64)[None] / FPS
    return Inputs(given, times.float(), torch.tensor([WIDTH / HEIGHT]), torch.tensor([frames]))


def readers(feature: FeatureConfig, name: str, busy: str) -> tuple[str, ...]:
    """What must be seen in a frame for a slice to be there."""
    match feature:
        case HandFeatures(side="moving"):
            return (busy,)
        case HandFeatures():
            return (name,)
        case LipsFeatures():
            return ("face",)
        case PhonologyFeatures():
            own, _, group = name.partition("_")
            return {
                "flexion": (f"{own}_hand",),
                "spread": (f"{own}_hand",),
                "orientation": (f"{own}_hand", "pose"),
            }.get(group, ("pose",))
    return ("pose",)


def expected_there(feature: FeatureConfig, name: str, parts: Signer, busy: str) -> np.ndarray:
    """(T,): seen, or in a short gap."""
    frames = len(parts["pose"])
    if name == "presence":
        return np.ones(frames, bool)
    if name == "action_units":
        return np.zeros(frames, bool)
    seen = np.all([~np.isnan(parts[part][:, 0, 0]) for part in readers(feature, name, busy)], axis=0)
    if name == "vertical_speed":  # needs its neighbours too
        padded = np.pad(seen, 1, mode="edge")
        seen = padded[:-2] & seen & padded[2:]
    there = seen.copy()
    for before, after in pairwise(np.flatnonzero(seen)):
        if (after - before) / FPS <= MAX_GAP_S:
            there[before:after] = True
    return there


RANGES: dict[str, tuple[float, float]] = {  # of each slice, less the hand's side
    "hand": (-10, 10), "flexion": (0, 6), "spread": (-1, 1), "orientation": (-1.001, 1.001), "location": (-3, 3),
    "movement": (-20, 20), "nodes": (-3, 3), "action_units": (0, 1), "distances": (-0.5, 2), "speech_mask": (0, 1),
    **dict.fromkeys(BodyFeatures().slices, (0, 1)),
}  # fmt: skip


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data(layout: str, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """The two clips, imported."""
    name, source = LAYOUTS[layout][1](tmp_path_factory.mktemp(layout))
    return ingested(name, source, locate(tmp_path_factory.mktemp("data")))


def ingested(layout: str, source: Path, out: Location) -> Location:
    """As workers do it: an item of an npz is a file of its own, others share one."""
    items = plan(layout, locate(source), OPTIONS)
    for block in [[item] for item in items] if layout == "npz" else [items]:
        import_block(block, out, OPTIONS)
    return out


each_feature = pytest.mark.parametrize("feature", FEATURES.values(), ids=list(FEATURES))


@each_feature
def test_what_was_seen_is_there_and_what_was_not_is_missing(feature: FeatureConfig) -> None:
    for row, (parts, busy) in enumerate(zip(signers(), BUSY, strict=True)):
        for name, values in truth(feature, row).items():
            there = expected_there(feature, name, parts, busy)
            np.testing.assert_array_equal(~np.isnan(values), np.repeat(there[:, None], values.shape[1], axis=1), name)
            lowest, highest = RANGES.get(name) or RANGES[name.partition("_")[2]]
            assert not (values < lowest).any(), name
            assert not (values > highest).any(), name


def test_the_made_up_signer_stands_signs_and_speaks() -> None:
    """Else the comparison below could not fail."""
    body, lips, hand, phonology = (
        truth(FEATURES[name], 0) for name in ("body", "lips", "hand_moving_clip", "phonology")
    )
    assert np.nanmedian(body["torso_angle"]) < 0.05
    assert np.nanmedian(body["hip_height"]) > 0.9
    assert 0.6 < body["presence"].mean() < 1
    assert np.nanmedian(lips["speech_mask"]) > 0.8
    assert np.median(np.nanstd(hand["hand"], axis=0)) > 0.3  # palms
    for name in ("right_flexion", "right_spread", "right_location", "right_movement", "left_orientation"):
        assert np.nanstd(phonology[name], axis=0).max() > 0.05, name


@each_feature
def test_every_layout_gives_the_numbers_of_the_true_landmarks(
    data: Location, layout: str, feature: FeatureConfig
) -> None:
    """Or refuses in one line what it cannot give. Imports have no blendshapes: action units alone are missing then."""
    parts = LAYOUTS[layout][0]
    if lacking := [part for part in feature.parts if part not in (*parts, "blendshapes")]:
        with pytest.raises(UserError, match=f"has no .*{lacking[0]}") as refused:
            load_clips(data, feature.parts)
        assert "\n" not in str(refused.value)
        return
    clips = load_clips(data, feature.parts)
    assert len(clips) == len(COUNTS)
    for row in range(len(COUNTS)):
        for name, values in values_of(clips.batch([row]), feature).items():
            expected = truth(feature, row)[name]
            np.testing.assert_allclose(values, expected, rtol=1e-4, atol=2e-4, err_msg=name)  # NaN equals NaN


# ---- raw channels ----


@pytest.mark.parametrize("shape", [(12,), (63,), (7, 3)], ids=str)
def test_raw_channels_arrive_as_they_are_with_short_gaps_filled(tmp_path: Path, shape: tuple[int, ...]) -> None:
    frames, channels = 40, int(np.prod(shape))
    slope = np.random.default_rng(0).normal(size=shape)
    clip = (100 + np.arange(frames).reshape(-1, *[1] * len(shape)) * slope).astype(np.float32)
    clip[0].flat[0] = 0  # no part: zeros are numbers like others
    gappy = clip.copy()
    gappy[4] = np.nan
    gappy[9].flat[1] = np.nan  # one channel makes the frame missing
    gappy[15:33] = np.nan
    place = ingested(*npz(tmp_path, [gappy]), locate(tmp_path / "out"))
    feature = RawFeatures(channels=channels)
    values = values_of(load_clips(place, feature.parts).batch([0]), feature)["raw"]
    assert np.isnan(values).all(axis=1).tolist() == [15 <= frame < 33 for frame in range(frames)]
    expected = clip.reshape(frames, -1)
    np.testing.assert_allclose(values[:15], expected[:15], rtol=1e-5)
    np.testing.assert_allclose(values[33:], expected[33:], rtol=1e-6)


def test_files_with_different_numbers_of_channels_are_refused_in_one_line(tmp_path: Path) -> None:
    for channels in (12, 13):
        (tmp_path / f"in/{channels}").mkdir(parents=True)
        npz(tmp_path / f"in/{channels}", [np.ones((3, channels), np.float32)])
    place = ingested("npz", tmp_path / "in", locate(tmp_path / "out"))
    for mixed in (False, True):
        with pytest.raises(UserError, match="raw") as refused:
            load_clips(place, ("raw",), mixed=mixed)
        assert "\n" not in str(refused.value)


# ---- files of one data set that do not hold the same ----


def test_a_file_without_a_part_leaves_the_frames_of_the_others_in_place(tmp_path: Path) -> None:
    """.pose files of one folder need not have the same components."""
    whole, hands = signers()
    for number, (clip, parts) in enumerate([(hands, HANDS), (whole, ALL), (hands, HANDS)]):
        data = np.concatenate([clip[part] for part in parts], axis=1) * np.array([WIDTH, HEIGHT, 1])
        write_pose(tmp_path / f"in/{number}.pose", np.nan_to_num(data), ~np.isnan(data[:, :, 0]) * 1.0, parts, WIDTH)
    clips = load_clips(ingested("pose", tmp_path / "in", locate(tmp_path / "out")), ALL)
    inputs = clips.batch([0, 1, 2])
    assert inputs.lengths.tolist() == [COUNTS[1], COUNTS[0], COUNTS[1]]
    np.testing.assert_allclose(inputs.parts["pose"][1], whole["pose"], atol=1e-6)
    for row in (0, 2):
        assert inputs.parts["pose"][row].isnan().all()
        assert inputs.parts["face"][row].isnan().all()
        np.testing.assert_allclose(inputs.parts["left_hand"][row, : COUNTS[1]], hands["left_hand"], atol=1e-6)


def test_the_unit_of_depth_is_written_down(tmp_path: Path) -> None:
    """Widths from pixels by guess: whoever trusts depth can look it up."""
    for name, in_pixels, said in (("a", False, "as stored"), ("b", True, "divided by width")):
        layout, source = pose(tmp_path / name, ALL, WIDTH, z_in_pixels=in_pixels)
        clips = load_clips(ingested(layout, source, locate(tmp_path / f"out_{name}")), ("pose",))
        assert {json.loads(str(text))["z"] for text in clips.column("extractor")} == {said}
