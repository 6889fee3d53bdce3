"""Hands as 63 numbers a frame each: their shape, and their path through space.

Shape suffixes: B batch, T frames, P points.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import first_seen, for_each_point, isotropic, masked_median, palm_size, seen, take_frames
from sigflow.features.inputs import Inputs
from sigflow.topology import WRIST


class HandFeatures(Config):
    """21 x 3 numbers of one hand, the requirement's 30 x 63, or of both, 126."""

    kind: Literal["hand"] = "hand"
    side: Literal["moving", "left", "right", "both"] = "moving"  # moving: the one that moves more, or the only one
    centre: Literal["clip", "frame"] = "clip"  # the clip's first seen wrist, or each frame's own: shape alone
    mirror: bool = True  # a left hand is mirrored, so that inward stays inward

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return {"left": ("left_hand",), "right": ("right_hand",)}.get(self.side, ("left_hand", "right_hand"))

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return 63 * len(self.slices)

    @property
    def slices(self) -> dict[str, slice]:
        """Columns of each hand."""
        match self.side:
            case "both":
                return {"left_hand": slice(0, 63), "right_hand": slice(63, 126)}
            case "moving":
                return {"hand": slice(0, 63)}
            case side:
                return {f"{side}_hand": slice(0, 63)}


def hand_features(inputs: Inputs, config: HandFeatures) -> Float[Tensor, "B T _F"]:
    """(landmark - wrist) / median palm, in palms; about -10 to 10; NaN where that hand is missing.

    Centred and scaled once per clip, so that the hand's path survives: on the first wrist that is seen, by the median
    palm of the clip. With both hands these are shared (the right wrist where both appear at once), so that their places
    relative to each other survive too. With `centre="frame"` each hand is centred on its own wrist in each frame.
    x is multiplied by the aspect first, so that a wide video does not flatten the hand. With `mirror`, x of a left hand
    changes its sign after centring. A clip in which no hand appears is all NaN.
    """
    hands = {part: inputs.parts[part] for part in config.parts}
    match config.side:
        case "moving":
            is_left_B = movement(hands["left_hand"], inputs.aspect) > movement(hands["right_hand"], inputs.aspect)
            chosen = [torch.where(is_left_B[:, None, None, None], hands["left_hand"], hands["right_hand"])]
            mirrored = [is_left_B]
        case _:
            chosen = list(hands.values())
            mirrored = [torch.full_like(inputs.lengths, part == "left_hand", dtype=torch.bool) for part in hands]
    chosen = [isotropic(hand_BTP3, inputs.aspect) for hand_BTP3 in chosen]
    origin_B3, scale_B = _first_wrist(chosen), _median_palm(chosen).clamp(min=1e-4)
    columns = []
    for hand_BTP3, is_left_B in zip(chosen, mirrored, strict=True):
        centre = hand_BTP3[:, :, WRIST, None] if config.centre == "frame" else for_each_point(origin_B3, 21)
        factor_B3 = (1 / scale_B)[:, None].expand(-1, 3)
        if config.mirror:
            factor_B3 = torch.where(is_left_B[:, None], factor_B3 * _MIRROR.to(factor_B3), factor_B3)
        columns.append(((hand_BTP3 - centre) * for_each_point(factor_B3, 21)).flatten(2))
    return columns[0] if len(columns) == 1 else torch.cat(columns, -1)


_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def _first_wrist(hands: list[Tensor]) -> Float[Tensor, "B 3"]:
    """Of the hand that appears first; of the last one listed where they appear at once; NaN without any."""
    wrists_BT3 = hands[0][:, :, WRIST]
    for later in hands[1:]:
        later_BT3 = later[:, :, WRIST]
        wrists_BT3 = torch.where(later_BT3.isnan(), wrists_BT3, later_BT3)
    return take_frames(wrists_BT3, first_seen(~wrists_BT3[..., 0].isnan())[:, None])[:, 0]


def _median_palm(hands: list[Tensor]) -> Float[Tensor, " B"]:
    """Over all frames of all hands; 1 without any."""
    ok_BT: Bool[Tensor, "B T"] = seen(hands[0]) if len(hands) == 1 else torch.cat([seen(hand) for hand in hands], 1)
    palm_BT = palm_size(hands[0]) if len(hands) == 1 else torch.cat([palm_size(hand) for hand in hands], 1)
    return masked_median(palm_BT, ok_BT, empty=1.0)


def movement(hand_BTP3: Float[Tensor, "B T 21 3"], aspect_B: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Path of the landmarks over frames that follow each other, plus a little for each frame in which they are seen."""
    ok_BT = seen(hand_BTP3)
    # Every frame gets a step, the first one of 0: a slice of T - 1 frames is empty for T = 1, and breaks the graph.
    plane = hand_BTP3[..., 0] * aspect_B[:, None, None], hand_BTP3[..., 1]
    x_BTP, y_BTP = (axis - torch.cat([axis[:, :1], axis[:, :-1]], 1) for axis in plane)
    step_BT = (x_BTP.square() + y_BTP.square()).clamp(min=1e-12).sqrt().mean(-1)
    path_B = torch.where(step_BT.isnan(), torch.zeros_like(step_BT), step_BT).sum(1)
    return path_B + 1e-3 * ok_BT.to(path_B.dtype).sum(1)
