"""The whole body as 6 numbers a frame: how it stands, how fast it sinks, and whether it is seen at all.

Shape suffixes: B batch, T frames, P points.
"""

from math import pi
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sigflow.config import Config
from sigflow.features.geometry import isotropic, seen
from sigflow.features.inputs import Inputs
from sigflow.features.kinematics import velocity
from sigflow.topology import POSE_NAMES

_SIGNALS = ("torso_angle", "hip_height", "vertical_speed", "box_aspect", "head_over_feet", "presence")
_GROUPS = (
    ("nose", "left_ear", "right_ear"),
    *((f"left_{joint}", f"right_{joint}") for joint in ("shoulder", "hip", "knee", "ankle")),
)
_USED = [POSE_NAMES.index(name) for group in _GROUPS for name in group]
_SIZES = [len(group) for group in _GROUPS]
# Heights of a standing adult in torso lengths (shoulder to hip, 0.288 of the stature), from the segment lengths of
# Drillis and Contini 1966: hip over ankle 0.491, middle of the head over ankle 0.89 of the stature.
_STANDING_HIPS = 1.7
_STANDING_HEAD = 3.1
_FAST_PER_S = 4.0  # torso lengths; about 2 m/s


class BodyFeatures(Config):
    """The requirement's 6 fall signals, each in [0, 1]."""

    kind: Literal["body"] = "body"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return ("pose",)

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return len(_SIGNALS)

    @property
    def slices(self) -> dict[str, slice]:
        """One column each: presence is there when the others are missing, and the speed also needs its neighbours."""
        return {name: slice(column, column + 1) for column, name in enumerate(_SIGNALS)}


def body_features(inputs: Inputs, config: BodyFeatures) -> Float[Tensor, "B T _F"]:
    """Six signals in [0, 1], which do not depend on where in the image the person is or how large.

    Middles of both sides are used, and only x and y: z is too rough to tell a lean. Lengths count in torsos: shoulders
    to hips, as long as it is seen in the clip (90th percentile: foreshortening shortens it, hardly anything lengthens
    it; the median fails for a clip that mostly shows someone lying towards the camera).

    torso_angle: atan(|dx| / dy) / 90 degrees from hips to shoulders; 0 upright, 1 lying, also 1 with the shoulders
        below the hips. It ends high after a fall as after lying down. A fall along the camera's axis does not show
        in it: there the heights tell.
    hip_height: hips over ankles / 1.7 torsos; 1 standing, about 0.5 on a chair, 0 on the ground. A fall ends near 0,
        lying down on a bed higher.
    vertical_speed: 0.5 + downward speed of the trunk's middle / 8 torsos per second; 0.5 at rest, 1 sinking with 4
        torsos per second or more, 0 rising as fast. This one tells a fall from lying down slowly: falls reach the
        ground with about 2 m/s (Choi et al. 2015), 4 torsos per second. On nine clips of GMDCSA24 (Alam et al.) six
        falls peak at 0.76 to 0.90; walking, sitting and bending at 0.53 to 0.59, but for a jump of the detector to
        0.70. By `kinematics.velocity`.
    box_aspect: w / (w + h) of the box around head, shoulders, hips, knees and ankles; about 0.2 standing, 0.5 for a
        square, 0.8 lying across. Without the arms, so that spreading them is no fall.
    head_over_feet: head over ankles / 3.1 torsos; 1 standing, 0 when the head is as low as the feet or lower. Someone
        who bends down or sits keeps part of it.
    presence: 1 where the pose was detected, 0 where not. Detectors lose people who fall, at that very moment.

    Heights are cut at 0 and 1. Ankles out of the image are taken as MediaPipe extrapolates them. Missing: presence
    never within the clip; the others where a pose is missing or lacks a landmark that is used; vertical_speed also
    beside such a frame, and in a clip of one frame. All are NaN beyond the clip's end.
    """
    pose_BTP3 = inputs.parts["pose"]
    used_BTP2 = isotropic(pose_BTP3[:, :, _USED], inputs.aspect)[..., :2]
    ok_BT = ~used_BTP2.isnan().flatten(2).any(-1)
    head, shoulders, hips, _, ankles = (points.mean(2) for points in used_BTP2.split(_SIZES, 2))
    side_BT, up_BT = (shoulders[..., 0] - hips[..., 0]).abs(), hips[..., 1] - shoulders[..., 1]
    torso_B1 = _full_length((side_BT.square() + up_BT.square()).clamp(min=1e-12).sqrt(), ok_BT)[:, None]
    box_BT2 = used_BTP2.amax(2) - used_BTP2.amin(2)

    # Not the arc cosine: near upright it turns the last digit of a float into a visible angle.
    angle_BT = (side_BT / up_BT.clamp(min=1e-6)).atan() * (2 / pi)
    centre_BT = torch.where(ok_BT, (shoulders[..., 1] + hips[..., 1]) / 2 / torso_B1, _nan(up_BT))
    sinking_BT = velocity(centre_BT[:, :, None], inputs.time_s)[:, :, 0]
    signals = (
        torch.where(up_BT > 0, angle_BT, torch.ones_like(angle_BT)),
        (ankles[..., 1] - hips[..., 1]) / torso_B1 / _STANDING_HIPS,
        0.5 + sinking_BT / (2 * _FAST_PER_S),
        box_BT2[..., 0] / box_BT2.sum(-1).clamp(min=1e-6),
        (ankles[..., 1] - head[..., 1]) / torso_B1 / _STANDING_HEAD,
    )
    missing_BT = ~ok_BT
    missing_BTF = torch.stack([missing_BT, missing_BT, sinking_BT.isnan(), missing_BT, missing_BT], -1)
    values_BTF = torch.stack(signals, -1).clamp(0.0, 1.0)
    presence_BT = seen(pose_BTP3).to(values_BTF.dtype)
    within_BT = torch.arange(ok_BT.shape[1], device=ok_BT.device) < inputs.lengths[:, None]
    return torch.cat(
        [
            torch.where(missing_BTF, _nan(values_BTF), values_BTF),
            torch.where(within_BT, presence_BT, _nan(presence_BT))[:, :, None],
        ],
        -1,
    )


def _full_length(torso_BT: Float[Tensor, "B T"], ok_BT: Bool[Tensor, "B T"]) -> Float[Tensor, " B"]:
    """90th percentile over the frames that are there; 1 where there are none."""
    ordered_BT = torch.where(ok_BT, torso_BT, torch.full_like(torso_BT, 3e38)).sort(1).values
    count_B = ok_BT.to(torch.int64).sum(1)
    nearly_last_B = (count_B - 1).clamp(min=0) * 9 // 10
    found_B = ordered_BT.gather(1, nearly_last_B[:, None])[:, 0].clamp(min=1e-3)
    return torch.where(count_B > 0, found_B, torch.ones_like(found_B))


def _nan(like: Tensor) -> Tensor:
    return torch.full_like(like, float("nan"))
