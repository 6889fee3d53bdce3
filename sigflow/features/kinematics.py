"""How features move: their change per second by true time, and how strongly they swing at given frequencies.

Shape suffixes: B batch, T frames, F features, G features there and left out, K bands.
"""

from collections.abc import Mapping
from math import pi

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from sigflow.config import Config

_SHORTEST_S = 1e-3  # frames with the same rounded time must not divide by 0
_QUIET = 1e-3  # energy of noise: a swing of about 0.04 in the values' unit


class Kinematics(Config):
    """What to add to the values of each frame."""

    velocity: bool = True
    acceleration: bool = False
    # The centre of each band. A band reaches about 1 / window_s to both sides; above half of the frame rate it would
    # only mirror slower movement.
    spectral_bands_hz: tuple[float, ...] = ()
    window_s: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _resolvable(self) -> "Kinematics":
        if any(band * self.window_s < 1 for band in self.spectral_bands_hz):
            raise ValueError(
                f"a window of {self.window_s} s cannot hold one swing of {min(self.spectral_bands_hz)} Hz: "
                f"raise window_s, or take bands from {1 / self.window_s:g} Hz"
            )
        return self

    def size(self, size_in: int) -> int:
        """Numbers per frame for values of `size_in`."""
        return size_in * (1 + self.velocity + self.acceleration) + len(self.spectral_bands_hz)

    def slices(self, slices_in: Mapping[str, slice]) -> dict[str, slice]:
        """The columns: the values' own, `velocity_<name>`, `acceleration_<name>`, and one `spectral`."""
        size_in = max(where.stop for where in slices_in.values())
        found, offset = dict(slices_in), size_in
        for name, wanted in (("velocity", self.velocity), ("acceleration", self.acceleration)):
            if wanted:
                found |= {
                    f"{name}_{key}": slice(where.start + offset, where.stop + offset)
                    for key, where in slices_in.items()
                }
                offset += size_in
        if self.spectral_bands_hz:
            found["spectral"] = slice(offset, offset + len(self.spectral_bands_hz))
        return found


def kinematics(
    values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"], config: Kinematics
) -> Float[Tensor, "B T _G"]:
    """The values, then what is switched on, in the order of `Kinematics.slices`."""
    columns = [values_BTF]
    if config.velocity:
        columns.append(velocity(values_BTF, time_s_BT))
    if config.acceleration:
        columns.append(acceleration(values_BTF, time_s_BT))
    if config.spectral_bands_hz:
        columns.append(spectral_energy(values_BTF, time_s_BT, config))
    return values_BTF if len(columns) == 1 else torch.cat(columns, -1)


def velocity(values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T F"]:
    """Change per second, from the frames before and after; exact for parabolas at uneven times.

    The slopes to both neighbours, each weighted with the other's distance in time. The clip's first and last frame
    have one neighbour and take the slope to it. NaN where the frame or a neighbour within the clip is missing, beyond
    the clip's end (`time_s` is NaN there), and in a clip of one frame.
    Source: Fornberg 1988, three-point first derivative.
    """
    before_BT, after_BT = _intervals(time_s_BT)
    slope_before, slope_after = _slopes(values_BTF, before_BT, after_BT)
    share_BT1 = (before_BT / (before_BT + after_BT))[:, :, None]
    inside = torch.lerp(slope_before, slope_after, share_BT1)
    first, last = before_BT.isnan()[:, :, None], after_BT.isnan()[:, :, None]
    return torch.where(first, slope_after, torch.where(last, slope_before, inside))


def acceleration(values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"]) -> Float[Tensor, "B T F"]:
    """Change of the velocity per second, from the frames before and after; exact for parabolas at uneven times.

    Twice the difference of the slopes to both neighbours by their distance in time. The clip's first and last frame
    take their neighbour's, which is the same three frames'. NaN as in `velocity`, and in clips of less than 3 frames.
    Source: Fornberg 1988, three-point second derivative.
    """
    before_BT, after_BT = _intervals(time_s_BT)
    slope_before, slope_after = _slopes(values_BTF, before_BT, after_BT)
    inside = (slope_after - slope_before) * (2 / (before_BT + after_BT))[:, :, None]
    first, last = before_BT.isnan()[:, :, None], after_BT.isnan()[:, :, None]
    return torch.where(first, _next(inside), torch.where(last, _previous(inside), inside))


def spectral_energy(
    values_BTF: Float[Tensor, "B T F"], time_s_BT: Float[Tensor, "B T"], config: Kinematics
) -> Float[Tensor, "B T _K"]:
    """How strongly the values swing around each frame, per band of `spectral_bands_hz`; at least 0.

    For each frame a Fourier sum over the true times of the frames there, with a Hann window of `window_s` around it:
    E = |2 sum(w x exp(-2 pi i f t)) / sum(w)|^2 / 2, the mean square of a swing at f: a^2 / 2 for one of amplitude a.
    w is the window times the seconds that a frame stands for, so that uneven times blur the bands little.
    x is what differs from the moving average over the same window, so that place and steady movement count nothing; a
    swing of exactly 1 / window_s loses half of its amplitude by that, one from 2 / window_s on nothing. A frame hears
    half of a window before and after it, and faintly all of it. E is averaged over the features that are there, and
    given as log(1 + E / 0.001): 0 at rest, 6.2 for an amplitude of 1.

    Missing frames are left out of the sums. NaN where all features of the frame itself are missing, and beyond the
    clip's end. Costs B x T x T of memory. Near a clip's ends and gaps half of the window is empty: bands are broader.
    Source: Lomb 1976 (Fourier sums at uneven times), Harris 1978 (windows).
    """
    there_BTF = ~values_BTF.isnan() & ~time_s_BT.isnan()[:, :, None]
    weight_BTT = _hann(time_s_BT, config.window_s) * _share(time_s_BT, config.window_s)[:, None, :]
    size = values_BTF.shape[2]

    kept_BTF = there_BTF.to(values_BTF.dtype)
    filled_BTF = torch.where(there_BTF, values_BTF, torch.zeros_like(values_BTF))
    sums_BTG = weight_BTT @ torch.cat([filled_BTF, kept_BTF], -1)
    total_BTF = sums_BTG[..., size:].clamp(min=1e-6)
    swing_BTF = torch.where(there_BTF, filled_BTF - sums_BTG[..., :size] / total_BTF, torch.zeros_like(values_BTF))

    seconds_BT = torch.where(time_s_BT.isnan(), torch.zeros_like(time_s_BT), time_s_BT)
    waves = []
    for band in config.spectral_bands_hz:
        # Whole turns are taken off first: cosines of large angles differ from one runtime to another.
        turns_BT1 = (seconds_BT * band - (seconds_BT * band).floor())[:, :, None]
        waves += [swing_BTF * (2 * pi * turns_BT1).cos(), swing_BTF * (2 * pi * turns_BT1).sin()]
    pairs = (weight_BTT @ torch.cat(waves, -1)).unflatten(-1, (len(config.spectral_bands_hz), 2, size))
    energy_BTKF = 2 * pairs.square().sum(3) / total_BTF[:, :, None].square()
    count_BT1 = kept_BTF.sum(-1, keepdim=True)
    mean_BTK = (energy_BTKF * kept_BTF[:, :, None]).sum(-1) / count_BT1.clamp(min=1.0)
    loud_BTK = (1 + mean_BTK / _QUIET).log()
    return torch.where(count_BT1 > 0, loud_BTK, torch.full_like(loud_BTK, float("nan")))


def _hann(time_s_BT: Float[Tensor, "B T"], window_s: float) -> Float[Tensor, "B T T"]:
    """Weight of each frame around each frame; 0 outside of the window and for padding."""
    apart_BTT = (time_s_BT[:, None] - time_s_BT[:, :, None]).abs() / window_s
    inside_BTT: Bool[Tensor, "B T T"] = apart_BTT < 0.5  # False for NaN
    return torch.where(inside_BTT, 0.5 + 0.5 * (2 * pi * apart_BTT).cos(), torch.zeros_like(apart_BTT))


def _share(time_s_BT: Float[Tensor, "B T"], window_s: float) -> Float[Tensor, "B T"]:
    """Seconds that each frame stands for: half of the way to both neighbours, at most a quarter of the window."""
    before_BT, after_BT = _intervals(time_s_BT)
    half_BT = torch.where(
        before_BT.isnan(), after_BT, torch.where(after_BT.isnan(), before_BT, (before_BT + after_BT) / 2)
    )
    alone_BT = half_BT.isnan()  # a clip of one frame, or padding
    return torch.where(alone_BT, torch.ones_like(half_BT), half_BT).clamp(max=window_s / 4)


def _previous(values_BTF: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F"]:
    """Each frame gets the one before it, the first one NaN."""
    # Always T frames again: an operator on a slice of T - 1 frames would break the graph at T = 1.
    return torch.cat([torch.full_like(values_BTF[:, :1], float("nan")), values_BTF[:, :-1]], 1)


def _next(values_BTF: Float[Tensor, "B T F"]) -> Float[Tensor, "B T F"]:
    return torch.cat([values_BTF[:, 1:], torch.full_like(values_BTF[:, :1], float("nan"))], 1)


def _intervals(time_s_BT: Float[Tensor, "B T"]) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Seconds since the frame before and to the one after; NaN where the clip has none."""
    before_BT = time_s_BT - _previous(time_s_BT[:, :, None])[:, :, 0]
    after_BT = _next(time_s_BT[:, :, None])[:, :, 0] - time_s_BT
    shortest = torch.full_like(time_s_BT, _SHORTEST_S)
    # `where` and not `clamp`: NaN has to stay NaN in every runtime.
    return (
        torch.where(before_BT < _SHORTEST_S, shortest, before_BT),
        torch.where(after_BT < _SHORTEST_S, shortest, after_BT),
    )


def _slopes(
    values_BTF: Float[Tensor, "B T F"], before_BT: Float[Tensor, "B T"], after_BT: Float[Tensor, "B T"]
) -> tuple[Float[Tensor, "B T F"], Float[Tensor, "B T F"]]:
    slope_before = (values_BTF - _previous(values_BTF)) / before_BT[:, :, None]
    slope_after = (_next(values_BTF) - values_BTF) / after_BT[:, :, None]
    return slope_before, slope_after
