"""Small errors, as a detector makes them.

Shape suffixes: B batch, T frames, P points, C channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sigflow.data.augment.config import Augmentation
from sigflow.data.augment.draws import factor, normal
from sigflow.data.augment.sizes import part_size, per_axis
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS


def perturb(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Gaussian noise on each number (`noise_sizes`), on each part as a whole in each frame (`jitter_sizes`); raw scale.

    Sigma is relative to the part's mean size over the clip, and the same in x, y and z once these are isotropic. Raw
    channels: relative to the channel's standard deviation over the clip, and jitter does not apply to them.
    """
    changed = {}
    for part, values in inputs.parts.items():
        if part in PARTS and (config.noise_sizes or config.jitter_sizes):
            changed[part] = _shake(part, values, inputs.aspect, config, generator)
        if part == "raw" and (config.noise_sizes or config.raw_scale):
            changed[part] = _disturb(values, config, generator)
    return inputs._replace(parts=inputs.parts | changed) if changed else inputs


def _shake(
    part: str,
    points_BTP3: Float[Tensor, "B T P 3"],
    aspect_B: Float[Tensor, " B"],
    config: Augmentation,
    generator: torch.Generator,
) -> Float[Tensor, "B T P 3"]:
    sigma_B113 = (part_size(part, points_BTP3, aspect_B)[:, None] / per_axis(aspect_B))[:, None, None]
    batch, frames, points, _ = points_BTP3.shape
    if config.jitter_sizes:
        whole_BT13 = normal(generator, (batch, frames, 1, 3), aspect_B)
        points_BTP3 = points_BTP3 + whole_BT13 * sigma_B113 * config.jitter_sizes
    if config.noise_sizes:
        noise_BTP3 = normal(generator, (batch, frames, points, 3), aspect_B)
        points_BTP3 = torch.addcmul(points_BTP3, noise_BTP3, sigma_B113 * config.noise_sizes)
    return points_BTP3


def _disturb(
    raw_BTC: Float[Tensor, "B T C"], config: Augmentation, generator: torch.Generator
) -> Float[Tensor, "B T C"]:
    batch, _, channels = raw_BTC.shape
    if config.noise_sizes:
        mean_B1C = raw_BTC.nanmean(1, keepdim=True)
        std_B1C = (raw_BTC - mean_B1C).square().nanmean(1, keepdim=True).sqrt().nan_to_num(0.0)
        raw_BTC = raw_BTC + normal(generator, tuple(raw_BTC.shape), raw_BTC) * std_B1C * config.noise_sizes
    if config.raw_scale:
        raw_BTC = raw_BTC * factor(generator, (batch, 1, channels), raw_BTC, config.raw_scale)
    return raw_BTC
