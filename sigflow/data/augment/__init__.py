"""Training clips, changed at random in landmark space before any feature is computed; never used to predict."""

import torch

from sigflow.data.augment.config import Augmentation
from sigflow.data.augment.missing import hide
from sigflow.data.augment.mixing import Mixing, cutmix, mix, mixup
from sigflow.data.augment.noise import perturb
from sigflow.data.augment.space import mirror, move
from sigflow.data.augment.timing import remove_frames, retime
from sigflow.features.inputs import Inputs

__all__ = ["Augmentation", "Mixing", "augment", "cutmix", "mix", "mixup"]


def augment(inputs: Inputs, config: Augmentation, generator: torch.Generator) -> Inputs:
    """Each clip of the batch, changed anew.

    The shapes stay as they are; what is missing stays missing, and padding stays padding. `generator` lives on the CPU,
    so that every device gets the same numbers. What is off returns the very same tensors and draws nothing.

    Raises:
        UserError: `mirror` is on, and only one of the hands is there.
    """
    for step in (remove_frames, retime, mirror, move, perturb, hide):
        inputs = step(inputs, config, generator)
    return inputs
