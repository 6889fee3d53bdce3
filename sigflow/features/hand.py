"""One hand as 63 numbers a frame: its shape, and its path through space.

Shape suffixes: B batch, T frames, P points.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import first_seen, isotropic, masked_median, palm_size, seen, take_frames
from sigflow.features.inputs import Inputs
from sigflow.topology import WRIST


class HandFeatures(Config):
    """The requirement's 30 x 63: one hand, 21 x 3, centred once and scaled once, so that its path survives."""

    kind: Literal["hand"] = "hand"
    side: Literal["moving", "left", "right"] = "moving"  # moving: the one that moves more, or the only one
    mirror: bool = True  # a left hand is mirrored, so that inward stays inward

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return {"moving": ("left_hand", "right_hand"), "left": ("left_hand",), "right": ("right_hand",)}[self.side]

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return 63


def hand_features(inputs: Inputs, config: HandFeatures) -> Float[Tensor, "B T 63"]:
    """(landmark - first seen wrist) / median palm, in palms; about -10 to 10; NaN where the hand is missing.

    x is multiplied by the aspect first, so that a wide video does not flatten the hand. With `mirror`, x of a left
    hand changes its sign after centring. A clip in which the hand never appears is all NaN.
    """
    hands = {part: isotropic(inputs.parts[part], inputs.aspect) for part in config.parts}
    match config.side:
        case "moving":
            is_left_B = _movement(hands["left_hand"]) > _movement(hands["right_hand"])
            hand_BTP3 = torch.where(is_left_B[:, None, None, None], hands["left_hand"], hands["right_hand"])
        case "left" | "right":
            (hand_BTP3,) = hands.values()
            is_left_B = torch.full_like(inputs.lengths, config.side == "left", dtype=torch.bool)
    ok_BT = seen(hand_BTP3)
    origin_B113 = take_frames(hand_BTP3[:, :, WRIST], first_seen(ok_BT)[:, None])[:, :, None]
    scale_B = masked_median(palm_size(hand_BTP3), ok_BT, empty=1.0).clamp(min=1e-4)
    shape_BTP3 = (hand_BTP3 - origin_B113) / scale_B[:, None, None, None]
    if config.mirror:
        shape_BTP3 = torch.where(is_left_B[:, None, None, None], shape_BTP3 * _MIRROR.to(shape_BTP3), shape_BTP3)
    return shape_BTP3.flatten(2)


_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def _movement(hand_BTP3: Float[Tensor, "B T 21 3"]) -> Float[Tensor, " B"]:
    """Path of the landmarks over frames that follow each other, plus a little for each frame in which they are seen."""
    ok_BT = seen(hand_BTP3)
    plane = hand_BTP3[..., :2]
    # Every frame gets a step, the first one of 0: a slice of T - 1 frames is empty for T = 1, and breaks the graph.
    before = torch.cat([plane[:, :1], plane[:, :-1]], 1)
    step_BT = ((plane - before) ** 2).sum(-1).clamp(min=1e-12).sqrt().mean(-1)
    path_B = torch.where(step_BT.isnan(), torch.zeros_like(step_BT), step_BT).sum(1)
    return path_B + 1e-3 * ok_BT.to(path_B.dtype).sum(1)
