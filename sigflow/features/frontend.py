"""Landmarks to the numbers that a model reads: features side by side, at their times, with their motion.

Shape suffixes: B batch, T frames, N frames after resampling, F features.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from sigflow.config import Config
from sigflow.features.body import BodyFeatures, body_features
from sigflow.features.hand import HandFeatures, hand_features
from sigflow.features.inputs import Inputs
from sigflow.features.kinematics import Kinematics, kinematics
from sigflow.features.lips import LipsFeatures, lips_features
from sigflow.features.phonology import PhonologyFeatures, phonology_features
from sigflow.features.raw import RawFeatures, raw_features
from sigflow.features.resample import Resampling, interpolate, new_times
from sigflow.topology import INPUT_SHAPES, INPUTS

FeatureConfig: TypeAlias = Annotated[
    HandFeatures | BodyFeatures | LipsFeatures | PhonologyFeatures | RawFeatures, Field(discriminator="kind")
]


class Sequences(NamedTuple):
    """A padded batch of unscaled features; NaN: missing, or at and beyond a clip's length."""

    values: Float[Tensor, "B N F"]
    lengths: Int[Tensor, " B"]


class Frontend(Config):
    """Which features, at which times, and whether their motion is added. Each kind of feature at most once."""

    features: tuple[FeatureConfig, ...] = Field(min_length=1)
    resampling: Resampling = Resampling()
    kinematics: Kinematics = Kinematics(velocity=False)

    @model_validator(mode="after")
    def _once(self) -> "Frontend":
        kinds = [feature.kind for feature in self.features]
        if len(kinds) != len(set(kinds)):
            raise ValueError("each kind of feature stands there at most once")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the inputs that are read, in topology's order."""
        wanted = {part for feature in self.features for part in feature.parts}
        return tuple(part for part in INPUTS if part in wanted)

    @property
    def size(self) -> int:
        """Numbers per frame."""
        return self.kinematics.size(sum(feature.size for feature in self.features))

    @property
    def slices(self) -> dict[str, slice]:
        """Columns by `<feature>.<slice>`, then those of the motion."""
        return self.kinematics.slices(self._feature_slices())

    def _feature_slices(self) -> dict[str, slice]:
        found: dict[str, slice] = {}
        start = 0
        for feature in self.features:
            for name, columns in feature.slices.items():
                found[f"{feature.kind}.{name}"] = slice(start + columns.start, start + columns.stop)
            start += feature.size
        return found

    @property
    def groups(self) -> list[int]:
        """Sizes of the columns that are missing together, before motion is added."""
        ends = [0, *(columns.stop for columns in self._feature_slices().values())]
        return [end - start for start, end in pairwise(ends)]


def compute_features(inputs: Inputs, frontend: Frontend) -> Sequences:
    """Features of a batch. A group of columns that is missing for long stays missing, whatever else was seen."""
    columns = [_feature(inputs, feature) for feature in frontend.features]
    values_BTF = columns[0] if len(columns) == 1 else torch.cat(columns, -1)
    config, groups = frontend.resampling, frontend.groups
    time_s_BN = new_times(values_BTF, inputs.time_s, config, groups)
    values_BNF = interpolate(values_BTF, inputs.time_s, time_s_BN, config.max_gap_s, groups)
    lengths_B = inputs.lengths if config.num_frames is None else torch.full_like(inputs.lengths, config.num_frames)
    return Sequences(kinematics(values_BNF, time_s_BN, frontend.kinematics), lengths_B)


def input_shapes(frontends: Iterable[Frontend]) -> dict[str, tuple[int, ...]]:
    """What all of them read together, and its shape in each frame, in topology's order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for frontend in frontends:
        for feature in frontend.features:
            shapes |= {part: INPUT_SHAPES.get(part, (feature.size,)) for part in feature.parts}
    return {part: shapes[part] for part in INPUTS if part in shapes}


def _feature(inputs: Inputs, config: FeatureConfig) -> Float[Tensor, "B T _F"]:
    match config:
        case HandFeatures():
            return hand_features(inputs, config)
        case BodyFeatures():
            return body_features(inputs, config)
        case LipsFeatures():
            return lips_features(inputs, config)
        case PhonologyFeatures():
            return phonology_features(inputs, config)
        case RawFeatures():
            return raw_features(inputs, config)
