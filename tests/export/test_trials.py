"""If this fails, a graph is checked on clips that are all alike."""

import numpy as np

from sigflow.export import random_inputs


def test_trial_inputs_cover_padding_gaps_and_clips_without_hands() -> None:
    inputs = random_inputs({"left_hand": (21, 3)}, 8, 31, np.random.default_rng(0))
    points = inputs.parts["left_hand"][:, :, 0, 0].isnan()
    assert int(inputs.lengths[0]) == 31 > int(inputs.lengths.min())
    assert points[-1].all()
    assert points[0].any()
    assert not points[0].all()
