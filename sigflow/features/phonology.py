"""Both hands as 36 numbers a frame, after the parameters of a sign: handshape, orientation, location and movement.

The numbers do not change when the whole signer is turned, moved or scaled in 3-D (a similarity, Sim(3)): handshape is
made of angles between bones, the rest is measured in a frame of the body, without the hips that webcams seldom show.

That holds for the landmarks. Whether it holds for the person depends on their depth, which MediaPipe guesses. Measured
on 800 webcam clips of signs (20 frames, taken as 4:3): median absolute change over the column's standard deviation,
mean over the right hand's columns, in the order flexion, spread, orientation, location, movement.

- landmarks turned by 10, 20 or 30 degrees: 0 (below 0.0002 in any number); z of camera-frame features: 0.55, 1.1, 1.6
- read with aspect 1 instead of 4/3: 0.07, 0.10, 0.07, 0.29, 0.03
- all depth halved: 0.02, 0.08, 0.34, 1.44, 0.17
- independent noise on each z, of 13 % of the palm in hands, of 10 % of the shoulders in the pose: 0.80, 0.54, 0.28,
  0.28, 1.27
- The pose's depth is too large: forearms come out 2.1 shoulder widths long, about three times the truth. If its true
  depth is a third, a signer who really turns by 10 degrees changes orientation by 0.39 and location by 1.04; by 30
  degrees, 0.63 and 2.00. Handshape does not read it.

So handshape depends least on the camera, though on each finger's depth; orientation and location can be compared
only among cameras that stand in about the same direction.

Shape suffixes: B batch, T frames, P points, H hands (left, right), N fingers (thumb to little), J bones from the wrist,
F features. Frames stand last, because torch is faster on long rows than on many vectors of three.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import isotropic, masked_median
from sigflow.features.hand import movement
from sigflow.features.inputs import Inputs
from sigflow.topology import POSE_NAMES, WRIST

Group: TypeAlias = Literal["flexion", "spread", "orientation", "location", "movement", "place"]
_GROUPS: dict[Group, int] = {"flexion": 5, "spread": 4, "orientation": 3, "location": 3, "movement": 3, "place": 2}
_SIM3: tuple[Group, ...] = ("flexion", "spread", "orientation", "location", "movement")
_BODY = tuple(POSE_NAMES.index(f"{side}_{name}") for name in ("ear", "shoulder", "wrist") for side in ("left", "right"))


class PhonologyFeatures(Config):
    """Finger flexion and spread, palm orientation, location and movement of both hands, as 2 x 18 numbers."""

    kind: Literal["phonology"] = "phonology"
    groups: tuple[Group, ...] = Field(default=_SIM3, min_length=1)  # in this order, for each hand
    first: Literal["left", "dominant"] = "left"  # dominant: the hand that moves more, or the only one

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return ("left_hand", "right_hand", "pose")

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return 2 * sum(_GROUPS[name] for name in self.groups)

    @property
    def slices(self) -> dict[str, slice]:
        """`left_flexion` and so on, then the right hand's, or `dominant_`, `other_`; each is missing as a whole."""
        found, start = {}, 0
        for side in ("left", "right") if self.first == "left" else ("dominant", "other"):
            for name in self.groups:
                found[f"{side}_{name}"] = slice(start, start + _GROUPS[name])
                start += _GROUPS[name]
        return found


def phonology_features(inputs: Inputs, config: PhonologyFeatures) -> Float[Tensor, "B T _F"]:
    """18 numbers of the left hand, then 18 of the right one, or those of the groups that are wanted.

    - flexion (thumb, index, middle, ring, little): sum of 1 - cosine over the finger's three joints. 0 straight, 1 one
      joint at a right angle, about 3 in a fist; 0 to 6. Missing with the hand.
    - spread (thumb-index, index-middle, middle-ring, ring-little): sine of the angle between neighbours in the palm's
      plane, shortened as they bend out of it. 0 side by side, negative when crossed; -1 to 1. Missing with the hand.
    - orientation (outward, up, forward): unit vector out of the palm. Missing with the hand or the pose.
    - location (outward, up, forward): the wrist, in shoulder widths from between the shoulders; about -3 to 3. Missing
      with the pose.
    - movement (outward, up, forward): change of location since the last frame that has one, per second; 0 in the first;
      about -20 to 20. Missing with the pose.

    - place (outward, up), on request: the hand's wrist in the picture's plane, in shoulder widths there from between
      the shoulders; about -3 to 3. Missing with the hand or the pose. Not invariant when the signer turns; but it is
      free of the pose's depth, which differs between recordings more than signers turn.

    Body frame: x through the shoulders; y towards the middle of the ears, at a right angle to x; z out of the chest.
    The ears lie near the axis about which the head turns, and least in front of the shoulders: in the clips above, y
    leans forward by 24 degrees, with the mouth by 59, with the nose by 60, with hips, could one see them, by 10.
    `outward` is x away from the body on the hand's own side: a mirrored signer has left and right columns swapped. The
    unit is the clip's median 3-D distance of the shoulders; a median, because depth jitters.

    Depth: a hand's z counts from its own wrist, the pose's z from the hips. So handshape and orientation use only
    differences within the hand, and location only points of the pose. No column mixes the two origins. Thus all are
    invariant for any landmarks whose depth has the unit of the picture, even where the two models put the wrist in
    different places. It is also why location stays when the hand is lost, and handshape when the pose is.

    Sources: Stokoe 1960 (handshape, location, movement), Battison 1978 (orientation); origins of z: MediaPipe's
    pages in `topology`.
    """
    hands = [isotropic(inputs.parts[part], inputs.aspect).permute(3, 2, 0, 1) for part in config.parts[:2]]
    body_BTP3 = torch.stack([inputs.parts["pose"][:, :, point] for point in _BODY], 2)
    body_3PBT = isotropic(body_BTP3, inputs.aspect).permute(3, 2, 0, 1)
    ears_3HBT, shoulders_3HBT, wrists_3HBT = body_3PBT.unflatten(1, (3, 2)).unbind(1)

    bones_3JNHBT = _bones(torch.stack(hands, 2))
    # Out of a right palm, into a left one.
    across_3HBT = _unit(torch.linalg.cross(bones_3JNHBT[:, 0, _INDEX], bones_3JNHBT[:, 0, _LITTLE], dim=0))
    axes_33HBT = _body_axes(ears_3HBT, shoulders_3HBT)
    location_3HBT = _location(shoulders_3HBT, wrists_3HBT, axes_33HBT)
    groups = {
        "flexion": 3 - (bones_3JNHBT[:, 1:] * bones_3JNHBT[:, :-1]).sum((0, 1)),
        "spread": _spread(bones_3JNHBT, across_3HBT),
        "orientation": _turn(across_3HBT * -_OUTWARD.to(across_3HBT), axes_33HBT),
        "location": location_3HBT,
        "movement": _movement(location_3HBT, inputs.time_s),
        "place": _place(torch.stack([hand[:2, WRIST] for hand in hands], 1), shoulders_3HBT[:2]),
    }
    values_BTHF = torch.cat([_whole(groups[name]) for name in config.groups]).permute(2, 3, 1, 0)
    if config.first == "dominant":
        left_B, right_B = (movement(inputs.parts[part], inputs.aspect) for part in config.parts[:2])
        values_BTHF = torch.where((left_B > right_B)[:, None, None, None], values_BTHF, values_BTHF.flip(2))
    return values_BTHF.flatten(2)


_INDEX, _LITTLE = 1, 4
_OUTWARD = torch.tensor([1.0, -1.0])[:, None, None]  # left is the left hand's outside and the right hand's inside


def _unit(vectors: Float[Tensor, "3 ..."]) -> Float[Tensor, "3 ..."]:
    return vectors / vectors.square().sum(0).clamp(min=1e-12).sqrt()


def _whole(values: Float[Tensor, "F H B T"]) -> Float[Tensor, "F H B T"]:
    """One missing number makes its group missing."""
    return torch.where(values.isnan().any(0), torch.full_like(values, float("nan")), values)


def _bones(hands_3PHBT: Float[Tensor, "3 21 H B T"]) -> Float[Tensor, "3 4 5 H B T"]:
    """Directions of each finger's bones, from the wrist to the tip."""
    joints_3JNHBT = hands_3PHBT[:, 1:].unflatten(1, (5, 4)).transpose(1, 2)
    wrist = hands_3PHBT[:, WRIST, None, None]
    return _unit(torch.cat([joints_3JNHBT[:, :1] - wrist, joints_3JNHBT[:, 1:] - joints_3JNHBT[:, :-1]], 1))


def _spread(
    bones_3JNHBT: Float[Tensor, "3 4 5 H B T"], across_3HBT: Float[Tensor, "3 H B T"]
) -> Float[Tensor, "4 H B T"]:
    """The triple product with the palm's normal leaves out how far either finger is bent, which flexion says.

    Proximal phalanges against each other, the thumb's against the index's metacarpal, which bending does not move.
    """
    first = torch.cat([bones_3JNHBT[:, 2, :1], bones_3JNHBT[:, 1, 1:4]], 1)
    second = torch.cat([bones_3JNHBT[:, 0, 1:2], bones_3JNHBT[:, 1, 2:]], 1)
    return (torch.linalg.cross(first, second, dim=0) * across_3HBT[:, None]).sum(0)


def _body_axes(
    ears_3HBT: Float[Tensor, "3 H B T"], shoulders_3HBT: Float[Tensor, "3 H B T"]
) -> Float[Tensor, "3 3 H B T"]:
    """Outward, up and forward of each hand, in the camera's frame."""
    x_3BT = _unit(shoulders_3HBT[:, 0] - shoulders_3HBT[:, 1])
    rise_3BT = (ears_3HBT - shoulders_3HBT).sum(1)
    y_3BT = _unit(rise_3BT - (rise_3BT * x_3BT).sum(0) * x_3BT)
    z_3BT = torch.linalg.cross(x_3BT, y_3BT, dim=0)
    outward = x_3BT[:, None] * _OUTWARD.to(x_3BT)
    return torch.stack([outward, y_3BT[:, None].expand_as(outward), z_3BT[:, None].expand_as(outward)])


def _turn(vectors_3HBT: Float[Tensor, "3 H B T"], axes_33HBT: Float[Tensor, "3 3 H B T"]) -> Float[Tensor, "3 H B T"]:
    """Camera's frame to the body's."""
    return (axes_33HBT * vectors_3HBT).sum(1)


def _location(
    shoulders_3HBT: Float[Tensor, "3 H B T"],
    wrists_3HBT: Float[Tensor, "3 H B T"],
    axes_33HBT: Float[Tensor, "3 3 H B T"],
) -> Float[Tensor, "3 H B T"]:
    """Wrists in shoulder widths."""
    width_BT = (shoulders_3HBT[:, 0] - shoulders_3HBT[:, 1]).square().sum(0).clamp(min=1e-12).sqrt()
    width_B = masked_median(width_BT, ~width_BT.isnan(), empty=1.0).clamp(min=1e-4)
    return _turn(wrists_3HBT - shoulders_3HBT.mean(1, keepdim=True), axes_33HBT) / width_B[:, None]


def _place(wrists_2HBT: Float[Tensor, "2 H B T"], shoulders_2HBT: Float[Tensor, "2 H B T"]) -> Float[Tensor, "2 H B T"]:
    """Wrists as the picture shows them; y of the picture points down."""
    width_BT = (shoulders_2HBT[:, 0] - shoulders_2HBT[:, 1]).square().sum(0).clamp(min=1e-12).sqrt()
    width_B = masked_median(width_BT, ~width_BT.isnan(), empty=1.0).clamp(min=1e-4)
    apart_2HBT = (wrists_2HBT - shoulders_2HBT.mean(1, keepdim=True)) / width_B[:, None]
    return torch.stack([apart_2HBT[0] * _OUTWARD[:, :, 0].to(apart_2HBT)[:, :, None], -apart_2HBT[1]])


def _movement(location_3HBT: Float[Tensor, "3 H B T"], time_s_BT: Float[Tensor, "B T"]) -> Float[Tensor, "3 H B T"]:
    """Change since the frame before that has a location, per second."""
    ok_HBT = ~location_3HBT.isnan().any(0)
    rank_HBT = ok_HBT.to(torch.int64).cumsum(2)
    frames = rank_HBT.shape[2]
    number_HBT = torch.arange(frames, device=rank_HBT.device).expand_as(rank_HBT)
    # Frame of each rank: frames without a location go to a place after the last, which nothing reads.
    places = torch.cat([torch.zeros_like(rank_HBT), torch.zeros_like(rank_HBT[:, :, :1])], 2)
    frame_HBT = places.scatter(2, torch.where(ok_HBT, rank_HBT - 1, torch.full_like(rank_HBT, frames)), number_HBT)
    before_HBT = frame_HBT.gather(2, (rank_HBT - 2).clamp(min=0))  # the first takes itself: no change
    change = location_3HBT - location_3HBT.gather(3, before_HBT.expand_as(location_3HBT))
    time_s_HBT = time_s_BT.expand_as(before_HBT)
    return change / (time_s_HBT - time_s_HBT.gather(2, before_HBT)).clamp(min=1e-3)
