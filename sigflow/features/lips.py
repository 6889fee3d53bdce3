"""Lips and jaw: nodes for a graph model, action units, distances, and whether the mouth moves.

Shape suffixes: B batch, T frames, P points, N nodes, D distances, L padded frames, W frames of a window.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import pad

from sigflow.config import Config
from sigflow.features.geometry import first_seen, isotropic, masked_median, take_frames
from sigflow.features.inputs import Inputs
from sigflow.topology import (
    BLENDSHAPE_NAMES,
    CHIN,
    LEFT_EYE_OUTER,
    LIP_EDGES,
    LIP_POINTS,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE_BASE,
    RIGHT_EYE_OUTER,
    Edges,
)

ACTION_UNITS = tuple(name for name in BLENDSHAPE_NAMES if name.startswith(("jaw_", "mouth_")))
# Between two points of the face mesh; left and right are the subject's own.
_PAIRS = {
    "outer_width": (MOUTH_RIGHT, MOUTH_LEFT),
    "outer_height": (0, 17),
    "inner_width": (78, 308),
    "inner_height": (13, 14),
    "inner_height_right": (81, 178),
    "inner_height_left": (311, 402),
    "upper_lip": (0, 13),
    "lower_lip": (14, 17),
    "nose_to_lip": (NOSE_BASE, 0),
    "lip_to_chin": (17, CHIN),
    "jaw_drop": (NOSE_BASE, CHIN),
}
DISTANCES = (*_PAIRS, "corner_tilt", "corner_drop", "jaw_shift", "protrusion")

_POINTS = (*LIP_POINTS, RIGHT_EYE_OUTER, LEFT_EYE_OUTER, NOSE_BASE)
_STILL = 0.01  # inter-ocular distances, about 1 mm
_MAX_FPS = 60
_FAR_S = 1e9


class LipsFeatures(Config):
    """Each switch adds a slice. `normalisation` is the frame of reference of nodes, and the unit of all lengths."""

    kind: Literal["lips"] = "lips"
    nodes: bool = True
    action_units: bool = True
    distances: bool = True
    speech_mask: bool = True
    # face: each frame by its own eyes; global: the whole clip by one place and one size, so that the head's path stays
    normalisation: Literal["face", "global"] = "face"
    window_s: float = Field(default=0.5, gt=0, le=2.0)  # of the speech mask, half before and half after the frame

    @model_validator(mode="after")
    def _something_is_on(self) -> "LipsFeatures":
        if not self.slices:
            raise ValueError("turn on one of nodes, action_units, distances, speech_mask")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return ("face", "blendshapes") if self.action_units else ("face",)

    @property
    def slices(self) -> dict[str, slice]:
        """Columns by name: nodes (x, y, z of each), then ACTION_UNITS, DISTANCES, speech_mask."""
        sizes = {
            "nodes": self.nodes * 3 * len(LIP_POINTS),
            "action_units": self.action_units * len(ACTION_UNITS),
            "distances": self.distances * len(DISTANCES),
            "speech_mask": int(self.speech_mask),
        }
        ends = accumulate(sizes.values())
        return {name: slice(end - sizes[name], end) for name, end in zip(sizes, ends, strict=True) if sizes[name]}

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return max(columns.stop for columns in self.slices.values())

    @property
    def node_graph(self) -> tuple[int, int, Edges] | None:
        """Number of nodes, channels of each, and edges that index them, of the slice `nodes`; None where it is off."""
        return (len(LIP_POINTS), 3, LIP_EDGES) if self.nodes else None


def lips_features(inputs: Inputs, config: LipsFeatures) -> Float[Tensor, "B T _F"]:
    """The slices of `config`, lengths in inter-ocular distances; NaN where their part is missing.

    The inter-ocular distance is that between the outer corners of the eyes, with depth, so that it does not shrink when
    the head turns. x points to the subject's left, y down, z away from the camera.

    nodes: x, y, z of `topology.LIP_POINTS`, about -2 to 2. `face`: from the middle between the eyes, rotation in the
    picture's plane removed, in the frame's own unit. `global`: from the eyes' middle in the first frame with a face, in
    the clip's median unit: where the head goes, how it tilts and nears stays in the numbers.
    action_units: MediaPipe's scores of jaw and mouth, 0 to 1, missing on their own where the data has none.
    distances: named in DISTANCES, 0 to about 1.5; the last four have a sign, about -0.3 to 0.3, see `_distances`.
    speech_mask: 0 to 1, see `_speech_mask`.

    The irises are never read: imported meshes of 468 points lack them.
    """
    slices = []
    if config.nodes or config.distances or config.speech_mask:
        face_BTP3 = isotropic(_choose(inputs.parts["face"], _POINTS), inputs.aspect)
        ok_BT = ~face_BTP3.flatten(2).sum(2).isnan()
        right_BT3, left_BT3 = _point(face_BTP3, RIGHT_EYE_OUTER), _point(face_BTP3, LEFT_EYE_OUTER)
        centre_BT3, axis_BT3 = (right_BT3 + left_BT3) / 2, left_BT3 - right_BT3
        unit_BT = _length(axis_BT3)
        if config.normalisation == "global":
            unit_BT = masked_median(unit_BT, ok_BT, empty=1.0)[:, None].expand_as(unit_BT)
        # A single missing point makes the frame missing, through the unit.
        unit_BT = torch.where(ok_BT, unit_BT.clamp(min=1e-4), torch.full_like(unit_BT, float("nan")))
        upright_BTP3 = _upright(face_BTP3 - centre_BT3[:, :, None], axis_BT3, unit_BT)
        if config.nodes:
            placed_BTP3 = upright_BTP3
            if config.normalisation == "global":
                origin_B13 = take_frames(centre_BT3, first_seen(ok_BT)[:, None])
                placed_BTP3 = (face_BTP3 - origin_B13[:, :, None]) / unit_BT[:, :, None, None]
            slices.append(placed_BTP3[:, :, : len(LIP_POINTS)].flatten(2))
    if config.action_units:
        first = BLENDSHAPE_NAMES.index(ACTION_UNITS[0])
        slices.append(inputs.parts["blendshapes"][:, :, first : first + len(ACTION_UNITS)])
    if config.distances or config.speech_mask:
        distances_BTD = _distances(upright_BTP3)
        # Said again: a clamp on the way need not keep NaN in every runtime.
        distances_BTD = torch.where(ok_BT[:, :, None], distances_BTD, torch.full_like(distances_BTD, float("nan")))
        if config.distances:
            slices.append(distances_BTD)
        if config.speech_mask:
            opening_BT = distances_BTD[:, :, DISTANCES.index("inner_height")]
            slices.append(_speech_mask(opening_BT, inputs.time_s, config.window_s)[:, :, None])
    return torch.cat(slices, -1)


def _choose(points_BTP3: Float[Tensor, "B T P 3"], numbers: Sequence[int]) -> Float[Tensor, "B T _N 3"]:
    """Points by number. A list as an index does the same, three times as slowly."""
    return points_BTP3.index_select(2, torch.tensor(numbers, device=points_BTP3.device))


def _point(points_BTP3: Float[Tensor, "B T P 3"], number: int) -> Float[Tensor, "B T 3"]:
    """A point by its number in the face mesh."""
    return points_BTP3[:, :, _POINTS.index(number)]


def _length(vectors: Float[Tensor, "... C"]) -> Float[Tensor, "..."]:
    return vectors.square().sum(-1).clamp(min=1e-12).sqrt()


def _upright(
    points_BTP3: Float[Tensor, "B T P 3"], axis_BT3: Float[Tensor, "B T 3"], unit_BT: Float[Tensor, "B T"]
) -> Float[Tensor, "B T P 3"]:
    """In units, and turned in the picture's plane until `axis` points along x."""
    plane_BT2 = axis_BT3[..., :2]
    cos_BT1, sin_BT1 = (plane_BT2 / (_length(plane_BT2) * unit_BT)[:, :, None]).split(1, -1)
    x_BTP, y_BTP, z_BTP = points_BTP3.unbind(-1)
    return torch.stack(
        [cos_BT1 * x_BTP + sin_BT1 * y_BTP, cos_BT1 * y_BTP - sin_BT1 * x_BTP, z_BTP / unit_BT[:, :, None]], -1
    )


def _distances(upright_BTP3: Float[Tensor, "B T P 3"]) -> Float[Tensor, "B T D"]:
    """DISTANCES of faces that are upright.

    With a sign: corner_tilt (the left corner of the mouth is lower than the right one), corner_drop (both are lower
    than the lips' middle), jaw_shift (the chin is to the left of the nose), protrusion (the lips' middle is nearer to
    the camera than the corners). Rotation out of the picture's plane is not removed: a nod moves corner_drop a little,
    and a turned head jaw_shift.
    """
    starts, ends = ([_POINTS.index(pair[side]) for pair in _PAIRS.values()] for side in (0, 1))
    lengths_BTD = _length(_choose(upright_BTP3, starts) - _choose(upright_BTP3, ends))
    right_BT3, left_BT3 = _point(upright_BTP3, MOUTH_RIGHT), _point(upright_BTP3, MOUTH_LEFT)
    # One above and one below the corners: a nod moves the one nearer and the other away, so that the mean stays.
    middle_BT3 = (_point(upright_BTP3, 0) + _point(upright_BTP3, 17)) / 2
    corners_BT3 = (right_BT3 + left_BT3) / 2
    shift_BT3 = _point(upright_BTP3, CHIN) - _point(upright_BTP3, NOSE_BASE)
    drop_BT3 = corners_BT3 - middle_BT3
    signed = [(left_BT3 - right_BT3)[..., 1], drop_BT3[..., 1], shift_BT3[..., 0], drop_BT3[..., 2]]
    return torch.cat([lengths_BTD, torch.stack(signed, -1)], -1)


def _speech_mask(
    opening_BT: Float[Tensor, "B T"], time_s_BT: Float[Tensor, "B T"], window_s: float
) -> Float[Tensor, "B T"]:
    """v / (v + 0.01^2), v the variance of the inner lips' opening around the frame: does the mouth move?

    0 still, 0.5 where the opening's standard deviation is 0.01 inter-ocular distances, 1 moving much. Soft, because a
    hard threshold turns a rounding error into another answer. Weights fall with time to 0 at half a window from the
    frame: a variance, unlike a speed, grows with neither the frame rate nor the noise in more frames. At more than 60
    frames a second the window holds the nearest frames only. Missing frames are left out; a frame without a neighbour
    is still.

    The idea, that landmarks of the lips alone tell speech from silence: Guy et al. 2020, arXiv:2009.11204.
    """
    half_s = window_s / 2
    reach = math.ceil(half_s * _MAX_FPS)
    ok_BT = ~opening_BT.isnan()
    # Missing frames, and those before and after the clip, are infinitely far away for the weights.
    time_BT = pad(torch.where(ok_BT, time_s_BT, torch.full_like(time_s_BT, _FAR_S)), (reach, reach), value=_FAR_S)
    filled_BT = pad(torch.where(ok_BT, opening_BT, torch.zeros_like(opening_BT)), (reach, reach))
    # A fixed number of neighbours by number, weighed by time: all pairs of frames would be too many in long clips.
    device = opening_BT.device
    near_TW = torch.arange(opening_BT.shape[1], device=device)[:, None] + torch.arange(2 * reach + 1, device=device)
    apart_BTW = _windows(time_BT, near_TW) - time_s_BT[:, :, None]
    step_BTW = _windows(filled_BT, near_TW) - opening_BT[:, :, None]
    weight_BTW = (1 - apart_BTW.abs() / half_s).clamp(min=0.0)
    weighted_BTW = weight_BTW * step_BTW
    total_BT = weight_BTW.sum(-1)  # the frame itself weighs 1
    variance_BT = (weighted_BTW * step_BTW).sum(-1) / total_BT - (weighted_BTW.sum(-1) / total_BT).square()
    variance_BT = variance_BT.clamp(min=0.0)
    moving_BT = variance_BT / (variance_BT + _STILL**2)
    return torch.where(ok_BT, moving_BT, torch.full_like(moving_BT, float("nan")))


def _windows(values_BL: Float[Tensor, "B L"], near_TW: Int[Tensor, "T W"]) -> Float[Tensor, "B T W"]:
    return values_BL.index_select(1, near_TW.flatten()).unflatten(1, near_TW.shape)
