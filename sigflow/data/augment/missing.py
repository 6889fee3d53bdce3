"""What a detector loses: frames, parts, fingers, landmarks. They become NaN, never 0.

A feature counts a frame as missing if any number that it reads is missing there, and bridges short gaps afterwards. So
a landmark is lost in single frames, and a finger or a raw channel for a stretch of a tenth to three tenths of the clip:
lost throughout, it would take every frame of every feature that reads it.
Shape suffixes: B batch, T frames, P points, L lost points, C channels, G groups of parts.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sigflow.data.augment.config import Augmentation
from sigflow.data.augment.draws import stretches, uniform
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS, THUMB_CMC

_STRETCH = (0.1, 0.3)  # share of the clip
_COMPANION = {"pose_visibility": "pose", "blendshapes": "face"}  # what is lost together with a part
_FINGERS, _FINGER_POINTS = 5, 4


def hide(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """`mask_share`, `drop_parts`, `drop_fingers`, `drop_landmarks`, `drop_channels`; each as the config says."""
    parts = inputs.parts
    if config.mask_share:
        mask_BT = stretches(generator, inputs, 1, config.mask_share / 2, config.mask_share)[:, :, 0]
        parts = {part: _lose_frames(values, mask_BT) for part, values in parts.items()}
    if config.drop_parts:
        lost = _lost_parts(inputs, config.drop_parts, generator)
        parts = {part: _lose_frames(values, lost[part][:, None]) for part, values in parts.items()}
    if config.drop_fingers:
        parts = parts | {
            part: _lose_finger(values, inputs, config.drop_fingers, generator)
            for part, values in parts.items()
            if part in ("left_hand", "right_hand")
        }
    if config.drop_landmarks:
        parts = parts | {
            part: _lose_landmark(values, config.drop_landmarks, generator)
            for part, values in parts.items()
            if part in PARTS
        }
    if config.drop_channels and "raw" in parts:
        parts = parts | {"raw": _lose_channels(parts["raw"], inputs, config.drop_channels, generator)}
    return inputs if parts is inputs.parts else inputs._replace(parts=parts)


def _lose_frames(values: Float[Tensor, "B T ..."], lost_BT: Bool[Tensor, "B _T"]) -> Float[Tensor, "B T ..."]:
    """By adding NaN, which takes a quarter of the time of filling."""
    gap_BT = torch.where(lost_BT, float("nan"), 0.0)
    return (values.flatten(2) + gap_BT[:, :, None]).view(values.shape)


def _lost_parts(inputs: Inputs, probability: float, generator: torch.Generator) -> dict[str, Bool[Tensor, " B"]]:
    """By part, the clips that lose it. Of the parts that a clip shows, the one with the largest draw stays."""
    group_of = {part: _COMPANION.get(part, part) for part in inputs.parts}
    groups = list(dict.fromkeys(group_of.values()))
    draw_BG = uniform(generator, (len(inputs.aspect), len(groups)), inputs.aspect)
    shown_BG = torch.zeros_like(draw_BG, dtype=torch.bool)
    for part, values in inputs.parts.items():
        shown_BG[:, groups.index(group_of[part])] |= ~values.flatten(2)[:, :, 0].isnan().all(1)
    rank_BG = torch.where(shown_BG, draw_BG, draw_BG - 1)
    lost_BG = (draw_BG < probability) & (rank_BG < rank_BG.amax(1, keepdim=True))
    return {part: lost_BG[:, groups.index(group)] for part, group in group_of.items()}


def _lose_landmark(
    points_BTP3: Float[Tensor, "B T P 3"], probability: float, generator: torch.Generator
) -> Float[Tensor, "B T P 3"]:
    """In some frames, one landmark."""
    batch, frames, num_points, _ = points_BTP3.shape
    draw_BT1 = uniform(generator, (batch, frames, 1), points_BTP3)
    chosen_BT1 = (draw_BT1 / probability * num_points).long().clamp(max=num_points - 1)
    return _lose_points(points_BTP3, chosen_BT1, draw_BT1 < probability)


def _lose_finger(
    hand_BTP3: Float[Tensor, "B T 21 3"], inputs: Inputs, probability: float, generator: torch.Generator
) -> Float[Tensor, "B T 21 3"]:
    """In some clips, one finger for a stretch."""
    draw_B1 = uniform(generator, (len(hand_BTP3), 1), hand_BTP3)
    finger_B1 = (draw_B1 / probability * _FINGERS).long().clamp(max=_FINGERS - 1)
    chosen_BL = THUMB_CMC + _FINGER_POINTS * finger_B1 + torch.arange(_FINGER_POINTS, device=finger_B1.device)
    lost_BT1 = (draw_B1 < probability)[:, None] & stretches(generator, inputs, 1, *_STRETCH)
    return _lose_points(hand_BTP3, chosen_BL[:, None].expand(-1, hand_BTP3.shape[1], -1), lost_BT1)


def _lose_points(
    points_BTP3: Float[Tensor, "B T P 3"], chosen_BTL: Int[Tensor, "B T L"], lost_BT1: Bool[Tensor, "B T 1"]
) -> Float[Tensor, "B T P 3"]:
    index = chosen_BTL[..., None].expand(-1, -1, -1, 3)
    kept_BTL3 = points_BTP3.gather(2, index)
    return points_BTP3.scatter(2, index, kept_BTL3.masked_fill(lost_BT1[..., None], float("nan")))


def _lose_channels(
    raw_BTC: Float[Tensor, "B T C"], inputs: Inputs, probability: float, generator: torch.Generator
) -> Float[Tensor, "B T C"]:
    """Some channels, each for a stretch of its own."""
    batch, _, channels = raw_BTC.shape
    draw_B1C = uniform(generator, (batch, 1, channels), raw_BTC)
    return raw_BTC.masked_fill(
        (draw_B1C < probability) & stretches(generator, inputs, channels, *_STRETCH), float("nan")
    )
