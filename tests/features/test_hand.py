"""If these fail, a gesture looks different from another place, distance, camera or hand, and recognition drops."""

import pytest
import torch
from torch import Tensor

from sigflow.features.hand import HandFeatures, hand_features
from sigflow.features.inputs import Inputs

NAN = float("nan")
FRAMES = 12


def wandering_hand(seed: int = 0) -> Tensor:
    """(T, 21, 3), seen in every frame."""
    generator = torch.Generator().manual_seed(seed)
    shape = torch.rand(21, 3, generator=generator) * 0.2
    path = 0.03 * torch.randn(FRAMES, 1, 3, generator=generator).cumsum(0)
    wobble = 0.005 * torch.randn(FRAMES, 21, 3, generator=generator)
    return 0.4 + shape + path + wobble


def inputs_of(*, left: Tensor | None = None, right: Tensor | None = None, aspect: float = 1.0) -> Inputs:
    """A batch of one clip; a hand that is not given is missing."""
    missing = torch.full((FRAMES, 21, 3), NAN)
    parts = {
        "left_hand": (missing if left is None else left)[None],
        "right_hand": (missing if right is None else right)[None],
    }
    return Inputs(parts, torch.arange(FRAMES)[None] / 25, torch.tensor([aspect]), torch.tensor([FRAMES]))


def features(inputs: Inputs, config: HandFeatures | None = None) -> Tensor:
    return hand_features(inputs, config or HandFeatures())


HAND = wandering_hand()


def test_the_features_start_at_the_first_wrist_and_count_in_palms() -> None:
    values = features(inputs_of(right=HAND)).unflatten(2, (21, 3))
    assert values.shape == (1, FRAMES, 21, 3)
    assert torch.equal(values[0, 0, 0], torch.zeros(3))
    widths = [(values[0, :, a, :2] - values[0, :, b, :2]).norm(dim=-1) for a, b in ((0, 5), (0, 9), (0, 17), (5, 17))]
    assert float(torch.stack(widths).mean(0).median()) == pytest.approx(1.0, abs=1e-4)


def test_the_path_of_the_hand_survives_centring() -> None:
    wrist = features(inputs_of(right=HAND))[0, :, :3]
    moved = HAND[:, 0] - HAND[0, 0]
    assert torch.allclose(wrist / wrist.norm(), moved / moved.norm(), atol=1e-5)


def test_place_and_distance_do_not_matter() -> None:
    expected = features(inputs_of(right=HAND))
    for scale, shift in ((1.0, 0.3), (0.4, 0.0), (2.5, -0.7)):
        assert torch.allclose(features(inputs_of(right=HAND * scale + shift)), expected, atol=2e-4)


def test_a_wide_video_does_not_flatten_the_hand() -> None:
    squeezed = HAND / torch.tensor([16 / 9, 1, 16 / 9])
    expected = features(inputs_of(right=HAND))
    assert torch.allclose(features(inputs_of(right=squeezed, aspect=16 / 9)), expected, atol=1e-4)
    assert not torch.allclose(features(inputs_of(right=squeezed, aspect=1.0)), expected, atol=1e-1)


def test_a_left_handed_person_makes_the_same_gesture() -> None:
    mirrored = torch.tensor([1.0, 0, 0]) + HAND * torch.tensor([-1.0, 1, 1])
    expected = features(inputs_of(right=HAND))
    assert torch.allclose(features(inputs_of(left=mirrored)), expected, atol=1e-5)
    plain = features(inputs_of(left=mirrored), HandFeatures(mirror=False))
    assert torch.allclose(plain.unflatten(2, (21, 3)) * torch.tensor([-1.0, 1, 1]), expected.unflatten(2, (21, 3)),
                          atol=1e-5)  # fmt: skip


def test_the_hand_that_moves_is_the_one_that_is_read() -> None:
    resting = HAND[:1].expand(FRAMES, 21, 3)
    expected = features(inputs_of(right=HAND))
    assert torch.equal(features(inputs_of(right=HAND, left=resting)), expected)
    left_moves = features(inputs_of(right=resting, left=HAND))
    assert torch.equal(left_moves, features(inputs_of(left=HAND)))
    assert not torch.allclose(left_moves, expected)


def test_a_hand_that_rests_is_read_if_it_is_the_only_one() -> None:
    resting = HAND[:1].expand(FRAMES, 21, 3)
    assert not features(inputs_of(left=resting)).isnan().any()
    assert not features(inputs_of(right=resting)).isnan().any()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_recipe_of_one_hand_reads_that_hand_alone(side: str) -> None:
    config = HandFeatures.model_validate({"side": side})
    assert config.parts == (f"{side}_hand",)
    both = inputs_of(left=HAND, right=wandering_hand(1))
    alone = both._replace(parts={f"{side}_hand": both.parts[f"{side}_hand"]})
    assert torch.equal(features(both, config), features(alone, config))
    expected = inputs_of(left=HAND) if side == "left" else inputs_of(right=wandering_hand(1))
    assert torch.equal(features(both, config), features(expected))


def test_only_missing_frames_are_missing() -> None:
    hand = HAND.clone()
    hand[[0, 1, 5, 11]] = NAN
    values = features(inputs_of(right=hand))[0]
    assert values.isnan().all(1).nonzero().flatten().tolist() == [0, 1, 5, 11]
    assert values.isnan().any(1).nonzero().flatten().tolist() == [0, 1, 5, 11]
    assert torch.equal(values[2, :3], torch.zeros(3))  # centred on the first frame that was seen


def test_a_clip_without_hands_is_missing_and_not_an_error() -> None:
    assert features(inputs_of()).isnan().all()


def test_a_hand_of_one_point_gives_finite_numbers() -> None:
    assert features(inputs_of(right=torch.full((FRAMES, 21, 3), 0.5))).isfinite().all()


def test_padding_and_neighbours_in_the_batch_change_nothing_at_all() -> None:
    hand = HAND.clone()
    hand[3] = NAN
    alone = inputs_of(right=hand, left=HAND[:1].expand(FRAMES, 21, 3))
    other = inputs_of(left=wandering_hand(2), aspect=1.5)
    padded = Inputs(
        {
            part: torch.nn.functional.pad(
                torch.cat([alone.parts[part], other.parts[part]]), (0, 0, 0, 0, 0, 17), value=NAN
            )
            for part in alone.parts
        },
        torch.nn.functional.pad(torch.cat([alone.time_s, other.time_s]), (0, 17), value=NAN),
        torch.cat([alone.aspect, other.aspect]),
        torch.cat([alone.lengths, other.lengths]),
    )
    values = features(padded)
    assert torch.equal(values[0, :FRAMES].nan_to_num(99.0), features(alone)[0].nan_to_num(99.0))
    assert torch.equal(values[1, :FRAMES], features(other)[0])
    assert values[:, FRAMES:].isnan().all()


def test_a_clip_of_one_frame_has_features() -> None:
    one = inputs_of(right=HAND)
    short = Inputs({part: points[:, :1] for part, points in one.parts.items()}, one.time_s[:, :1], one.aspect,
                   torch.tensor([1]))  # fmt: skip
    assert features(short).isfinite().all()


def test_the_size_that_the_model_is_built_for_is_the_size_that_comes() -> None:
    assert features(inputs_of(right=HAND)).shape[2] == HandFeatures().size == 63
