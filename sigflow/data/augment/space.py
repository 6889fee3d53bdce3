"""The scene seen from elsewhere: turned, moved, scaled, bent a little, mirrored. Raw channels are left alone.

Everything happens in isotropic units, (x * aspect, y, z * aspect), and goes back to shares of width and height.
MediaPipe counts each part's depth from an origin of its own: a hand's wrist, the middle of the hips, the mean of the
face. Here hands and face are carried at the depth of the pose's wrists and nose, where there is a pose, so that a
turned body keeps its hands; the depths that come out count from the same origins as before. The pose's depth is far too
large to be turned as it is: see `_DEPTH`.
Shape suffixes: B batch, T frames, P points.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sigflow.data.augment.config import Augmentation
from sigflow.data.augment.draws import factor, uniform
from sigflow.data.augment.sizes import part_size, per_axis
from sigflow.data.augment.swaps import BLENDSHAPE_SWAP, FACE_SWAP, POSE_SWAP
from sigflow.errors import UserError
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS, POSE_NAMES, WRIST

# Points whose middle is the part's origin of depth; of the face two on the cheeks (z there is within 1 % of its width).
_ORIGIN = {
    "left_hand": (WRIST,),
    "right_hand": (WRIST,),
    "pose": (POSE_NAMES.index("left_hip"), POSE_NAMES.index("right_hip")),
    "face": (101, 330),
}
_JOINT = {
    "left_hand": POSE_NAMES.index("left_wrist"),
    "right_hand": POSE_NAMES.index("right_wrist"),
    "face": POSE_NAMES.index("nose"),
}
# Depth is multiplied by this before anything turns, and divided afterwards. Measured on three sets of seated signers:
# while an arm moves, its bones keep their length best with 0.3 (median of sets and bones; with 1 a forearm would be two
# shoulder widths long). A hand's bones ask for 1 or a little more.
_DEPTH = {"left_hand": 1.0, "right_hand": 1.0, "pose": 0.3, "face": 1.0}


_MOVES = (
    "roll_deg", "yaw_deg", "pitch_deg", "shift_heights", "scale", "stretch", "shear", "hand_shift_palms",
    "hand_turn_deg",
)  # fmt: skip


def move(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Turn, scale, stretch, shear and shift the whole scene alike; then shift and turn each hand by itself.

    The centre is the mean of the origins of the parts over the clip. Distances within a part keep their ratios under
    roll, yaw, pitch and scale, in three dimensions.
    """
    points = {part: values for part, values in inputs.parts.items() if part in PARTS}
    if not points or not any(getattr(config, name) for name in _MOVES):
        return inputs
    matrix_B33 = _matrix(config, generator, inputs.aspect)
    units = {part: per_axis(inputs.aspect, depth=_DEPTH[part]) for part in points}
    origins = {
        part: values[:, :, list(_ORIGIN[part])].mean(2) * units[part][:, None] for part, values in points.items()
    }
    centre_B3 = torch.stack([origin_BT3.nanmean(1) for origin_BT3 in origins.values()]).nanmean(0).nan_to_num(0.0)
    centre_B3[:, 2] = 0
    shift_B2 = uniform(generator, (len(centre_B3), 2), inputs.aspect, -1.0, 1.0) * config.shift_heights
    fixed_B3 = centre_B3 - (matrix_B33 @ centre_B3[:, :, None]).squeeze(2)
    fixed_B3[:, :2] += shift_B2

    moved = {}
    for part, values in points.items():
        offset_BT3 = fixed_B3[:, None] + _joint_depth(part, inputs)[:, :, None] * matrix_B33[:, None, :, 2]
        origin_BT3 = torch.where(origins[part].isnan(), centre_B3[:, None], origins[part])
        offset_BT3[:, :, 2] = origin_BT3[:, :, 2] - (origin_BT3 * matrix_B33[:, None, 2]).sum(-1)
        if part in ("left_hand", "right_hand") and config.hand_shift_palms:
            reach_B1 = part_size(part, values, inputs.aspect)[:, None] * config.hand_shift_palms
            apart_B2 = uniform(generator, tuple(shift_B2.shape), reach_B1, -1.0, 1.0) * reach_B1
            offset_BT3[:, :, :2] += apart_B2[:, None]
        matrix_of_part_B33 = matrix_B33
        if part in ("left_hand", "right_hand") and config.hand_turn_deg:
            turn_B33 = _turn((config.hand_turn_deg,) * 3, generator, inputs.aspect)
            wrist_BT3 = (values[:, :, WRIST] * units[part][:, None]) @ matrix_B33.mT + offset_BT3
            matrix_of_part_B33 = turn_B33 @ matrix_B33
            offset_BT3 = (offset_BT3 - wrist_BT3) @ turn_B33.mT + wrist_BT3
        moved[part] = _transform(values, matrix_of_part_B33, offset_BT3, units[part])
    return inputs._replace(parts=inputs.parts | moved)


def mirror(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Some clips as a mirror shows them: x becomes 1 - x, and everything that is left becomes right.

    Hands change places; points of pose, visibility and face, and blendshapes, take their partner's place.
    """
    if not config.mirror:
        return inputs
    if ("left_hand" in inputs.parts) != ("right_hand" in inputs.parts):
        raise UserError("mirror needs both hands or none: read both in the recipe's features, or set mirror to 0")
    chosen_B = torch.rand(len(inputs.aspect), generator=generator) < config.mirror
    rows = chosen_B.nonzero().squeeze(1).to(inputs.aspect.device)
    partner = {"left_hand": "right_hand", "right_hand": "left_hand"}
    order = {"pose": POSE_SWAP, "pose_visibility": POSE_SWAP, "face": FACE_SWAP, "blendshapes": BLENDSHAPE_SWAP}
    mirrored = {}
    for part, values in inputs.parts.items():
        if part == "raw":
            continue
        swapped = inputs.parts[partner.get(part, part)][rows]
        if part in order:
            swapped = swapped.index_select(2, torch.tensor(order[part], device=values.device))
        if part in PARTS:
            swapped[..., 0] = 1 - swapped[..., 0]
        mirrored[part] = values.index_copy(0, rows, swapped)
    return inputs._replace(parts=inputs.parts | mirrored)


def _transform(
    points_BTP3: Float[Tensor, "B T P 3"],
    matrix_B33: Float[Tensor, "B 3 3"],
    offset_BT3: Float[Tensor, "B T 3"],
    unit_B3: Float[Tensor, "B 3"],
) -> Float[Tensor, "B T P 3"]:
    """Matrix times point plus offset, both isotropic. Axis by axis: twice as fast as many products of 3 x 3."""
    linear_B33 = matrix_B33 * unit_B3[:, None, :] / unit_B3[:, :, None]
    offset_BT3 = offset_BT3 / unit_B3[:, None]
    result_BTP3 = torch.empty_like(points_BTP3)
    x, y, z = points_BTP3.unbind(-1)
    for axis in range(3):
        by_x, by_y, by_z = linear_B33[:, axis, :, None, None].unbind(1)
        row_BTP = torch.mul(x, by_x, out=result_BTP3[..., axis])
        row_BTP.addcmul_(y, by_y).addcmul_(z, by_z).add_(offset_BT3[:, :, axis, None])
    return result_BTP3


def _matrix(config: Augmentation, generator: torch.Generator, aspect_B: Float[Tensor, " B"]) -> Float[Tensor, "B 3 3"]:
    """First yaw, pitch and roll, then scale, stretch and shear; on isotropic columns (x, y, z)."""
    turn_B33 = _turn((config.yaw_deg, config.pitch_deg, config.roll_deg), generator, aspect_B)
    scale_B = factor(generator, (len(aspect_B),), aspect_B, config.scale)
    stretch_B = factor(generator, (len(aspect_B),), aspect_B, config.stretch).sqrt()
    bend_B33 = torch.diag_embed(torch.stack([stretch_B, 1 / stretch_B, torch.ones_like(stretch_B)], -1))
    bend_B33[:, 0, 1] = uniform(generator, (len(aspect_B),), aspect_B, -1.0, 1.0) * config.shear
    return scale_B[:, None, None] * (bend_B33 @ turn_B33)


def _turn(
    limits_deg: tuple[float, float, float], generator: torch.Generator, aspect_B: Float[Tensor, " B"]
) -> Float[Tensor, "B 3 3"]:
    """Yaw, then pitch, then roll, each up to its limit."""
    angle_B3 = uniform(generator, (len(aspect_B), 3), aspect_B, -1.0, 1.0)
    angle_B3 = angle_B3 * torch.tensor(limits_deg).deg2rad().to(aspect_B)
    yaw, pitch, roll = (_rotation(angle_B3[:, i], *axes) for i, axes in enumerate(((0, 2), (1, 2), (0, 1))))
    return roll @ pitch @ yaw


def _rotation(angle_B: Float[Tensor, " B"], a: int, b: int) -> Float[Tensor, "B 3 3"]:
    """In the plane of the axes `a` and `b`."""
    matrix_B33 = torch.eye(3).to(angle_B).repeat(len(angle_B), 1, 1)
    matrix_B33[:, a, a] = matrix_B33[:, b, b] = angle_B.cos()
    matrix_B33[:, a, b] = -angle_B.sin()
    matrix_B33[:, b, a] = angle_B.sin()
    return matrix_B33


def _joint_depth(part: str, inputs: Inputs) -> Float[Tensor, "B T"]:
    """Depth of the pose's point that the part hangs on; the clip's mean where the pose is missing, 0 without one."""
    if part not in _JOINT or "pose" not in inputs.parts:
        return torch.zeros_like(inputs.time_s)
    depth_BT = inputs.parts["pose"][:, :, _JOINT[part], 2] * inputs.aspect[:, None] * _DEPTH["pose"]
    return torch.where(depth_BT.isnan(), depth_BT.nanmean(1, keepdim=True), depth_BT).nan_to_num(0.0)
