"""If these fail, noise is too strong for far signers and too weak for near ones."""

import pytest
import torch

from sigflow.data.augment.sizes import part_size, per_axis
from sigflow.features.inputs import Inputs
from sigflow.topology import PARTS


def test_a_palm_is_measured_in_heights_whatever_the_aspect() -> None:
    hand = torch.zeros(1, 3, 21, 3)
    hand[:, :, 9, 0] = torch.tensor([0.1, 0.2, float("nan")])
    hand[:, :, 9, 2] = 5.0  # depth does not count
    assert float(part_size("right_hand", hand, torch.tensor([2.0]))) == pytest.approx(0.3)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_never_seen_has_no_size(clips: Inputs, part: str) -> None:
    size = part_size(part, clips.parts[part], clips.aspect)
    assert size[5] == 0
    assert (size[:3] > 0).all()


def test_width_and_depth_are_multiplied_by_the_aspect() -> None:
    assert per_axis(torch.tensor([1.5])).tolist() == [[1.5, 1.0, 1.5]]
    assert per_axis(torch.tensor([1.5]), depth=2.0).tolist() == [[1.5, 1.0, 3.0]]
