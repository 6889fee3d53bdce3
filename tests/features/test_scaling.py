"""If these fail, models see numbers of any size, or take "missing" for a place in the picture."""

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from sigflow.features.scaling import Scaler

NAN = float("nan")


def gappy() -> torch.Tensor:
    values = torch.randn(20, 30, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5, 0.2, 3]) + 2
    values[3] = NAN
    values[:, 7] = NAN
    return values


def test_mean_and_spread_are_those_of_the_frames_that_are_there() -> None:
    values, scaler = gappy(), Scaler(4)
    scaler.fit(values)
    rows = values.flatten(0, 1).numpy()
    reference = StandardScaler().fit(rows[~np.isnan(rows[:, 0])])
    assert np.allclose(scaler.mean, reference.mean_, atol=1e-5)
    assert np.allclose(scaler.std, reference.scale_, atol=1e-5)


def test_missing_becomes_the_training_mean() -> None:
    values, scaler = gappy(), Scaler(4)
    scaler.fit(values)
    scaled = scaler(values)
    assert scaled.isfinite().all()
    assert torch.equal(scaled[values.isnan()], torch.zeros(int(values.isnan().sum())))


def test_a_wild_landmark_is_bounded() -> None:
    scaler = Scaler(4, limit=8.0)
    wild = torch.tensor([1e30, -1e30, float("inf"), 0.5]).expand(1, 1, 4)
    assert torch.equal(scaler(wild), torch.tensor([[[8.0, -8, 8, 0.5]]]))


def test_a_number_that_never_varies_is_not_blown_up() -> None:
    scaler = Scaler(2)
    values = torch.stack([torch.full((5, 6), 3.0), torch.randn(5, 6)], -1)
    scaler.fit(values)
    assert float(scaler.std[0]) == 1.0
    assert float(scaler(values + 0.5)[0, 0, 0]) == 0.5


def test_training_clips_without_any_hand_leave_a_scaler_that_works() -> None:
    scaler = Scaler(3)
    scaler.fit(torch.full((2, 5, 3), NAN))
    assert torch.equal(scaler(torch.ones(1, 1, 3)), torch.ones(1, 1, 3))


def test_the_fit_is_stored_with_the_weights() -> None:
    first, second = Scaler(4), Scaler(4)
    first.fit(gappy())
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(gappy()), second(gappy()))
    assert not list(first.parameters())  # nothing that an optimiser could move
