"""If these fail, strengths do not mean what the config says."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sigflow.data.augment.draws import factor, normal, stretches, uniform
from sigflow.features.inputs import Inputs

LIKE = torch.zeros(1, dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_draws_fill_their_range_and_no_more() -> None:
    values = uniform(seeded(), (5000,), LIKE, -2.0, 3.0)
    assert values.dtype == torch.float64
    assert -2 <= float(values.min()) < -1.99
    assert 2.99 < float(values.max()) <= 3
    ratio = factor(seeded(), (5000,), LIKE, 1.0)
    assert 0.4999 <= float(ratio.min()) < 0.51
    assert 1.98 < float(ratio.max()) <= 2.0001
    assert abs(float(ratio.log().mean())) < 0.02  # as often larger as smaller
    assert abs(float(normal(seeded(), (5000,), LIKE).std()) - 1) < 0.05


@settings(deadline=None, max_examples=20)
@given(length=st.integers(1, 30), seed=st.integers(0, 999))
def test_a_stretch_is_in_one_piece_and_within_the_clip(length: int, seed: int) -> None:
    clips = Inputs({}, torch.zeros(8, 30), torch.ones(8), torch.full((8,), length))
    inside = stretches(seeded(seed), clips, 2, 0.2, 0.6)
    assert inside.shape == (8, 30, 2)
    assert not inside[:, length:].any()
    count = inside.sum(1)
    assert (count >= int(0.2 * length)).all()
    assert (count <= round(0.6 * length + 0.5)).all()
    edges = inside.int().diff(dim=1, prepend=torch.zeros(8, 1, 2, dtype=torch.int32))
    assert ((edges == 1).sum(1) <= 1).all()


def test_a_stretch_lies_anywhere() -> None:
    clips = Inputs({}, torch.zeros(4000, 10), torch.ones(4000), torch.full((4000,), 10))
    share = stretches(seeded(), clips, 1, 0.1, 0.1)[:, :, 0].float().mean(0)
    assert float(share.min()) > 0.08
    assert float(share.max()) < 0.12
