"""Channels of any origin, taken as they are."""

from typing import Literal

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from sigflow.config import Config
from sigflow.features.inputs import Inputs


class RawFeatures(Config):
    """The part `raw`, from `jobs/ingest.py --format npz`."""

    kind: Literal["raw"] = "raw"
    channels: PositiveInt | None = None  # None: as many as the data has

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are read."""
        return ("raw",)

    @property
    def size(self) -> int:
        """Numbers per frame."""
        if self.channels is None:
            raise ValueError("the number of channels is not known before the data is")
        return self.channels

    @property
    def slices(self) -> dict[str, slice]:
        """All channels of a frame are there or none is: one that is NaN makes the frame missing."""
        return {"raw": slice(0, self.size)}


def raw_features(inputs: Inputs, config: RawFeatures) -> Float[Tensor, "B T _F"]:
    """(B, T, channels), in the data's own units; NaN where missing."""
    return inputs.parts["raw"]
