"""If these fail, a spoken word looks different from another place, distance or frame rate, and lip reading drops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from sigflow.features.inputs import Inputs
from sigflow.features.lips import ACTION_UNITS, DISTANCES, LipsFeatures, lips_features
from sigflow.topology import BLENDSHAPE_NAMES, LIP_EDGES, LIP_POINTS
from tests.features.parity import check_parity

NAN = float("nan")
FRAMES = 12
ALL = LipsFeatures()
GLOBAL = LipsFeatures(normalisation="global")
# x, y, z in inter-ocular distances from between the eyes, of a closed mouth
KNOWN = {
    33: (-0.5, 0, 0), 263: (0.5, 0, 0), 2: (0, 0.6, -0.2), 152: (0, 1.5, -0.05),
    61: (-0.3, 1.0, 0), 291: (0.3, 1.0, 0), 78: (-0.25, 1.0, 0), 308: (0.25, 1.0, 0),
    0: (0, 0.9, -0.1), 13: (0, 1.0, -0.1), 14: (0, 1.0, -0.1), 17: (0, 1.15, -0.1),
    81: (-0.1, 1.0, -0.1), 178: (-0.1, 1.0, -0.1), 311: (0.1, 1.0, -0.1), 402: (0.1, 1.0, -0.1),
}  # fmt: skip
OPENS = (14, 17, 152, 178, 402)  # these go down with the jaw


def mouth(opening: Tensor) -> Tensor:
    """(T, 478, 3) in inter-ocular distances; irises are missing."""
    generator = torch.Generator().manual_seed(0)
    face = torch.rand(478, 3, generator=generator) * torch.tensor([1.0, 0.8, 0.2]) + torch.tensor([-0.5, 0.5, -0.1])
    face[list(KNOWN)] = torch.tensor(list(KNOWN.values()), dtype=torch.float32)
    face[468:] = NAN
    face = face.repeat(len(opening), 1, 1)
    face[:, list(OPENS), 1] += opening[:, None]
    return face


def seen_from(
    face: Tensor,
    *,
    roll: float | Tensor = 0.0,
    size: float | Tensor = 0.1,
    at: tuple[float, float] | Tensor = (0.5, 0.4),
    aspect: float = 1.0,
) -> Tensor:
    """In the picture: `size` of the frame's height, `at` in heights. A tensor has a number, or two, for each frame."""
    roll, size, at = torch.as_tensor(roll), torch.as_tensor(size), torch.as_tensor(at)
    x, y, z = face.unbind(-1)
    cos, sin = roll.cos()[..., None], roll.sin()[..., None]
    turned = torch.stack([cos * x - sin * y, sin * x + cos * y, z], -1) * size[..., None, None]
    placed = turned + torch.nn.functional.pad(at, (0, 1))[..., None, :]
    return placed / torch.tensor([aspect, 1, aspect])


def inputs_of(face: Tensor, *, fps: float = 25, aspect: float = 1.0, blendshapes: Tensor | None = None) -> Inputs:
    """A batch of one clip."""
    frames = len(face)
    if blendshapes is None:
        blendshapes = torch.linspace(0, 1, 52).repeat(frames, 1)
    parts = {"face": face[None], "blendshapes": blendshapes[None]}
    return Inputs(parts, torch.arange(frames)[None] / fps, torch.tensor([aspect]), torch.tensor([frames]))


def slices_of(inputs: Inputs, config: LipsFeatures = ALL) -> dict[str, Tensor]:
    """(T, size) by slice, of the first clip."""
    values = lips_features(inputs, config)[0]
    return {name: values[:, columns] for name, columns in config.slices.items()}


def distances_of(face: Tensor, config: LipsFeatures = ALL) -> dict[str, list[float]]:
    values = slices_of(inputs_of(face), config)["distances"]
    return {name: values[:, number].tolist() for number, name in enumerate(DISTANCES)}


def close(a: dict[str, Tensor], b: dict[str, Tensor], atol: float = 1e-4) -> bool:
    return all(torch.allclose(a[name], b[name], atol=atol, equal_nan=True) for name in a | b)


TALK = mouth(torch.linspace(0, 0.3, FRAMES))


def test_an_open_mouth_measures_what_it_measures() -> None:
    found = distances_of(seen_from(mouth(torch.tensor([0.0, 0.3]))))
    closed = {
        "outer_width": 0.6, "outer_height": 0.25, "inner_width": 0.5, "inner_height": 0.0, "inner_height_right": 0.0,
        "inner_height_left": 0.0, "upper_lip": 0.1, "lower_lip": 0.15, "nose_to_lip": math.hypot(0.3, 0.1),
        "lip_to_chin": math.hypot(0.35, 0.05), "jaw_drop": math.hypot(0.9, 0.15), "corner_tilt": 0.0,
        "corner_drop": 1.0 - (0.9 + 1.15) / 2, "jaw_shift": 0.0, "protrusion": 0.1,
    }  # fmt: skip
    opened = closed | {
        "outer_height": 0.55, "inner_height": 0.3, "inner_height_right": 0.3, "inner_height_left": 0.3,
        "jaw_drop": math.hypot(1.2, 0.15), "corner_drop": 1.0 - (0.9 + 1.45) / 2,
    }  # fmt: skip
    assert set(found) == set(closed)
    for name, values in found.items():
        assert values == pytest.approx([closed[name], opened[name]], abs=1e-4), name


def test_a_crooked_mouth_is_crooked_to_the_side_of_the_subject() -> None:
    face = mouth(torch.zeros(1))
    face[:, 291, 1] += 0.2  # the subject's left corner goes down
    face[:, 152, 0] += 0.1  # the jaw goes to the left
    face[:, [0, 17], 2] -= 0.05  # pursed
    found = distances_of(seen_from(face, roll=0.4))
    assert found["corner_tilt"] == pytest.approx([0.2], abs=1e-4)
    assert found["jaw_shift"] == pytest.approx([0.1], abs=1e-4)
    assert found["protrusion"] == pytest.approx([0.15], abs=1e-4)


def test_nodes_are_the_lips_and_the_jaw_in_their_stated_order() -> None:
    nodes = slices_of(inputs_of(seen_from(TALK, roll=0.3)))["nodes"].unflatten(1, (55, 3))
    assert torch.allclose(nodes, TALK[:, list(LIP_POINTS)], atol=1e-4)
    assert LipsFeatures().node_graph == (55, 3, LIP_EDGES)
    assert LipsFeatures(nodes=False).node_graph is None


@settings(deadline=None, max_examples=15)
@given(
    roll=st.floats(-3, 3), size=st.floats(0.05, 0.5), x=st.floats(0.2, 1), y=st.floats(0, 1), aspect=st.floats(0.5, 2)
)
def test_place_distance_tilt_and_format_of_the_video_do_not_matter(
    roll: float, size: float, x: float, y: float, aspect: float
) -> None:
    picture = seen_from(TALK, roll=roll, size=size, at=(x, y), aspect=aspect)
    assert close(slices_of(inputs_of(picture, aspect=aspect)), slices_of(inputs_of(seen_from(TALK))), atol=1e-3)
    level = seen_from(TALK, size=size, at=(x, y), aspect=aspect)
    plain = slices_of(inputs_of(seen_from(TALK)), GLOBAL)
    assert close(slices_of(inputs_of(level, aspect=aspect), GLOBAL), plain, atol=1e-3)


def test_a_head_that_drifts_nears_and_tilts_does_so_in_the_global_form_alone() -> None:
    still = mouth(torch.full((3,), 0.1))
    drift = torch.tensor([[0.5, 0.4], [0.52, 0.4], [0.5, 0.45]])
    size, roll = torch.tensor([0.1, 0.1, 0.12]), torch.tensor([0.0, 0.0, 0.3])
    clip = inputs_of(seen_from(still, at=drift, size=size, roll=roll))
    face = slices_of(clip)
    assert torch.allclose(face["nodes"], face["nodes"][:1].expand(3, -1), atol=1e-4)
    nodes = slices_of(clip, GLOBAL)["nodes"].unflatten(1, (55, 3))
    expected = still[:, list(LIP_POINTS)].clone()
    assert torch.allclose(nodes[0], expected[0], atol=1e-4)
    assert torch.allclose(nodes[1], expected[1] + torch.tensor([0.2, 0, 0]), atol=1e-4)
    left = nodes[2, LIP_POINTS.index(291)] - nodes[2, LIP_POINTS.index(61)]
    assert left.tolist() == pytest.approx([1.2 * 0.6 * math.cos(0.3), 1.2 * 0.6 * math.sin(0.3), 0], abs=1e-4)


def test_a_head_that_turns_away_keeps_its_mouth() -> None:
    cos, sin = math.cos(0.8), math.sin(0.8)
    turned = TALK @ torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    for name in ("outer_width", "inner_height", "jaw_drop"):
        assert distances_of(seen_from(turned))[name] == pytest.approx(distances_of(seen_from(TALK))[name], abs=1e-4)


def test_action_units_are_mediapipes_scores_of_jaw_and_mouth() -> None:
    assert len(ACTION_UNITS) == 27
    assert ACTION_UNITS[0] == "jaw_forward"
    found = slices_of(inputs_of(seen_from(TALK)))["action_units"][0]
    scores = torch.linspace(0, 1, 52)
    assert found.tolist() == [float(scores[BLENDSHAPE_NAMES.index(name)]) for name in ACTION_UNITS]


def swinging(fps: int, hz: float, depth: float, noise: float = 0.002) -> Inputs:
    """Two seconds of a mouth that opens and closes `hz` times a second, measured with a usual error."""
    time_s = torch.arange(2 * fps + 1) / fps
    face = mouth(depth / 2 * (1 - torch.cos(2 * math.pi * hz * time_s)))
    face = face + noise * torch.randn(face.shape, generator=torch.Generator().manual_seed(fps))
    return inputs_of(seen_from(face), fps=fps)


@pytest.mark.parametrize("fps", [15, 60])
def test_a_mouth_that_opens_and_closes_speaks_and_a_still_one_does_not(fps: int) -> None:
    speaking = slices_of(swinging(fps, hz=4, depth=0.15))["speech_mask"]
    assert float(speaking.min()) > 0.8
    for depth in (0.0, 0.3):
        held = slices_of(swinging(fps, hz=0, depth=depth))["speech_mask"]
        assert float(held.max()) < 0.2


def test_the_speech_mask_of_a_video_does_not_depend_on_its_frame_rate() -> None:
    slow, fast = (slices_of(swinging(fps, hz=4, depth=0.05))["speech_mask"][:, 0] for fps in (15, 60))
    assert torch.allclose(slow, fast[::4], atol=0.1)


def test_the_speech_mask_is_a_half_at_the_stated_movement() -> None:
    # A sine of amplitude a has the standard deviation a / sqrt(2); fast, so that the window holds many periods.
    mask = slices_of(swinging(60, hz=12, depth=2 * 0.01 * math.sqrt(2), noise=0.0), LipsFeatures(window_s=1.0))
    assert float(mask["speech_mask"][60]) == pytest.approx(0.5, abs=0.03)


def test_speech_begins_where_it_begins() -> None:
    time_s = torch.arange(61) / 30
    opening = torch.where(time_s < 1, 0.0, 0.1 * torch.sin(2 * math.pi * 4 * time_s).abs())
    mask = slices_of(inputs_of(seen_from(mouth(opening)), fps=30))["speech_mask"][:, 0]
    assert float(mask[time_s < 0.75].max()) < 0.01
    assert float(mask[time_s > 1.1].min()) > 0.8


def test_a_moving_head_with_a_closed_mouth_does_not_speak() -> None:
    time_s = torch.arange(60) / 30
    sway = torch.sin(2 * math.pi * 2 * time_s)
    at = torch.stack([0.5 + 0.1 * sway, 0.4 - 0.05 * sway], -1)
    picture = seen_from(mouth(torch.full((60,), 0.1)), at=at, roll=0.4 * sway, size=0.1 + 0.03 * sway)
    assert float(slices_of(inputs_of(picture, fps=30))["speech_mask"].max()) < 0.01


def test_a_gap_does_not_silence_the_speech_around_it() -> None:
    clip = swinging(30, hz=4, depth=0.15)
    clip.parts["face"][0, 20:24] = NAN
    mask = slices_of(clip)["speech_mask"][:, 0]
    assert mask.isnan().nonzero().flatten().tolist() == [20, 21, 22, 23]
    assert float(mask.nan_to_num(1.0).min()) > 0.7


def test_data_without_blendshapes_keeps_everything_else() -> None:
    whole = slices_of(inputs_of(seen_from(TALK)))
    lacking = slices_of(inputs_of(seen_from(TALK), blendshapes=torch.full((FRAMES, 52), NAN)))
    assert lacking.pop("action_units").isnan().all()
    assert all(torch.equal(values, whole[name]) for name, values in lacking.items())
    assert not any(values.isnan().any() for values in lacking.values())


def test_frames_without_a_face_are_missing_and_no_others() -> None:
    picture = seen_from(TALK)
    picture[[0, 5]] = NAN
    picture[7, 308] = NAN  # one point alone
    for config in (ALL, GLOBAL):
        found = slices_of(inputs_of(picture), config)
        assert not found.pop("action_units").isnan().any()
        for values in found.values():
            assert values.isnan().any(1).nonzero().flatten().tolist() == [0, 5, 7]
            assert values.isnan().all(1).nonzero().flatten().tolist() == [0, 5, 7]


def test_clips_without_a_face_of_one_point_or_of_one_frame_are_not_an_error() -> None:
    for config in (ALL, GLOBAL):
        nothing = slices_of(inputs_of(torch.full((FRAMES, 478, 3), NAN)), config)
        assert all(nothing[name].isnan().all() for name in ("nodes", "distances", "speech_mask"))
        point = lips_features(inputs_of(torch.full((FRAMES, 478, 3), 0.5)), config)
        assert point.isfinite().all()
        assert lips_features(inputs_of(seen_from(TALK[:1])), config).isfinite().all()


@pytest.mark.parametrize("config", [ALL, GLOBAL], ids=["face", "global"])
def test_padding_and_neighbours_in_the_batch_change_nothing_at_all(config: LipsFeatures) -> None:
    alone = inputs_of(seen_from(TALK, at=torch.linspace(0.3, 0.6, 2 * FRAMES).view(FRAMES, 2)))
    alone.parts["face"][0, 3] = NAN
    other = inputs_of(seen_from(TALK.flip(0), size=0.3), aspect=1.5)
    padded = Inputs(
        {
            "face": torch.nn.functional.pad(
                torch.cat([alone.parts["face"], other.parts["face"]]), (0, 0, 0, 0, 0, 17), value=NAN
            ),
            "blendshapes": torch.nn.functional.pad(
                torch.cat([alone.parts["blendshapes"], other.parts["blendshapes"]]), (0, 0, 0, 17), value=NAN
            ),
        },
        torch.nn.functional.pad(torch.cat([alone.time_s, other.time_s]), (0, 17), value=NAN),
        torch.cat([alone.aspect, other.aspect]),
        torch.cat([alone.lengths, other.lengths]),
    )
    values = lips_features(padded, config)
    for row, clip in enumerate((alone, other)):
        expected = lips_features(clip, config)[0]
        assert torch.allclose(values[row, :FRAMES], expected, atol=1e-5, equal_nan=True)
    assert values[:, FRAMES:].isnan().all()


@pytest.mark.parametrize("normalisation", ["face", "global"])
def test_each_slice_alone_is_that_slice_of_the_whole(normalisation: str) -> None:
    whole_config = LipsFeatures.model_validate({"normalisation": normalisation})
    clip = inputs_of(seen_from(TALK, roll=0.2))
    whole = slices_of(clip, whole_config)
    assert list(whole) == ["nodes", "action_units", "distances", "speech_mask"]
    assert lips_features(clip, whole_config).shape[2] == whole_config.size == 55 * 3 + 27 + 15 + 1
    for name, values in whole.items():
        switches = {other: other == name for other in whole}
        config = LipsFeatures.model_validate({"normalisation": normalisation, **switches})
        assert config.parts == (("face", "blendshapes") if name == "action_units" else ("face",))
        asked = clip._replace(parts={part: clip.parts[part] for part in config.parts})
        assert config.size == values.shape[1]
        assert torch.equal(slices_of(asked, config)[name], values)


def test_a_recipe_that_turns_everything_off_is_refused() -> None:
    with pytest.raises(ValidationError, match="turn on one of"):
        LipsFeatures(nodes=False, action_units=False, distances=False, speech_mask=False)


@pytest.mark.parametrize(
    "config", [ALL, pytest.param(GLOBAL, marks=pytest.mark.slow), LipsFeatures(action_units=False)],
    ids=["face", "global", "imported"],
)  # fmt: skip
def test_a_served_graph_gives_the_numbers_of_training(config: LipsFeatures) -> None:
    assert check_parity(lambda inputs: lips_features(inputs, config), config.parts) <= 1e-4
