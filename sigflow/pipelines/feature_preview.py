"""Features of a few clips over time, drawn as models read them but for resampling and scaling."""

from itertools import pairwise
from math import prod

import numpy as np
import pyarrow as pa
import torch

from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import FeatureConfig, Frontend, compute_features
from sigflow.features.hand import HandFeatures
from sigflow.features.inputs import Inputs
from sigflow.features.lips import ACTION_UNITS, DISTANCES, LipsFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.resample import Resampling
from sigflow.report import Curves, Panel, clip_title, feature_chart
from sigflow.schema import decode_frames
from sigflow.topology import CHIN, HAND_NAMES, INPUT_SHAPES, LIP_POINTS, MOUTH_LEFT, MOUTH_RIGHT, WRIST

_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_AXES = ("outward", "up", "forward")
_PHONOLOGY = {
    "flexion": _FINGERS,
    "spread": tuple(f"{a}-{b}" for a, b in pairwise(_FINGERS)),
    "orientation": _AXES,
    "location": _AXES,
    "movement": _AXES,
}
_LIP_NODES = {"upper lip": 13, "lower lip": 14, "left corner": MOUTH_LEFT, "right corner": MOUTH_RIGHT, "chin": CHIN}
_LIP_UNITS = ("jaw_open", "mouth_pucker", "mouth_funnel", "mouth_smile_left", "mouth_smile_right", "mouth_roll_lower")
_LIP_DISTANCES = ("outer_width", "outer_height", "inner_height", "jaw_drop", "corner_drop", "protrusion")


def draw_feature(rows: pa.Table, kind: str) -> bytes:
    """PNG of one of `preview.FEATURES`, with its defaults, for each of the landmark file's `rows`."""
    feature, panels = _preview(kind)
    return feature_chart([_curves(rows.slice(number, 1), feature) for number in range(len(rows))], panels)


def _preview(kind: str) -> tuple[FeatureConfig, tuple[tuple[Panel, ...], ...]]:
    """The feature, and rows of panels: all of its columns where a person can read so many, or else telling ones."""
    match kind:
        case "hand":
            points = {"wrist": WRIST, **{finger: HAND_NAMES.index(f"{finger}_tip") for finger in _FINGERS}}
            panels = tuple(
                Panel(
                    f"{axis} of wrist and fingertips, in palms",
                    {name: 3 * point + number for name, point in points.items()},
                    down=axis == "y",
                )
                for number, axis in enumerate("xy")
            )
            return HandFeatures(), (panels,)
        case "body":
            body = BodyFeatures()
            lines = {name: columns.start for name, columns in body.slices.items()}
            return body, ((Panel("body", lines, (-0.05, 1.05)),),)
        case "lips":
            lips = LipsFeatures()
            nodes, units, distances, mask = (columns.start for columns in lips.slices.values())
            heights = {name: nodes + 3 * LIP_POINTS.index(point) + 1 for name, point in _LIP_NODES.items()}
            panels = (
                Panel("nodes, y", heights, down=True),
                Panel("action units", {name: units + ACTION_UNITS.index(name) for name in _LIP_UNITS}),
                Panel("distances", {name: distances + DISTANCES.index(name) for name in _LIP_DISTANCES}),
                Panel("speech mask", {"speech_mask": mask}, (-0.05, 1.05)),
            )
            return lips, (panels,)
        case "phonology":
            phonology = PhonologyFeatures()
            sides = tuple(_hand_panels(side, phonology) for side in ("right", "left"))
            return phonology, sides
    raise ValueError(kind)


def _hand_panels(side: str, phonology: PhonologyFeatures) -> tuple[Panel, ...]:
    starts = {group: phonology.slices[f"{side}_{group}"].start for group in _PHONOLOGY}
    return tuple(
        Panel(f"{side} {group}", {name: starts[group] + number for number, name in enumerate(names)})
        for group, names in _PHONOLOGY.items()
    )


def _curves(row: pa.Table, feature: FeatureConfig) -> Curves:
    """The clip's own frames: at other times, or with gaps filled, a picture would hide what the detector lost."""
    time_s_T = torch.from_numpy((decode_frames(row["time_ms"])[0] / 1000).astype(np.float32))
    aspect = row["width"][0].as_py() / row["height"][0].as_py()
    inputs = Inputs(
        {part: _part(row, part, len(time_s_T))[None] for part in feature.parts},
        time_s_T[None], torch.tensor([aspect]), torch.tensor([len(time_s_T)]),
    )  # fmt: skip
    frontend = Frontend(features=(feature,), resampling=Resampling(num_frames=None, max_gap_s=0))
    values_TF = compute_features(inputs, frontend).values[0]
    title = clip_title(row.select(["clip_id", "label", "subject"]).to_pylist()[0])
    return Curves(title, time_s_T.numpy(), values_TF.numpy())


def _part(row: pa.Table, part: str, num_frames: int) -> torch.Tensor:
    shape = INPUT_SHAPES[part]
    values, _ = decode_frames(row[part])
    if not len(values):  # a clip from before the part was extracted
        values = np.full((num_frames, prod(shape)), np.nan, np.float32)
    return torch.from_numpy(np.array(values)).unflatten(1, shape)
