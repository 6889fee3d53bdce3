"""If these fail, an ensemble's answer is not the vote of its fold models."""

import numpy as np
import torch

from sigflow import runs
from sigflow.export import EnsembleModel, random_inputs
from sigflow.storage import Location


def test_members_vote_with_their_weights_and_folds_evenly(mixed: EnsembleModel) -> None:
    inputs = random_inputs(mixed.shapes, 3, 9, np.random.default_rng(0))
    with torch.no_grad():
        first, second = ([model(inputs).softmax(1) for model in group] for group in mixed.groups)
        expected = 0.25 * (first[0] + first[1] + first[2]) + 0.25 / 3 * (second[0] + second[1] + second[2])
        assert torch.allclose(mixed(*inputs.flat()), expected, atol=1e-6)


def test_the_ensemble_holds_the_weights_of_every_fold(trained_run: Location, model: EnsembleModel) -> None:
    (group,) = model.groups
    assert len(group) == runs.read_run(trained_run).num_folds
    for fold, member in enumerate(group):
        stored = runs.read_fold_weights(trained_run, fold)
        assert all(torch.equal(weight, stored[name]) for name, weight in member.state_dict().items())
    assert not model.training
