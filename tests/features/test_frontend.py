"""If these fail, a model reads other numbers than its recipe says, or what one feature lacks costs another one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sigflow.export import random_inputs
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import FeatureConfig, Frontend, compute_features, input_shapes
from sigflow.features.hand import HandFeatures
from sigflow.features.inputs import Inputs
from sigflow.features.kinematics import Kinematics
from sigflow.features.lips import LipsFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from tests.features.parity import check_parity

EVERY: tuple[FeatureConfig, ...] = (
    HandFeatures(side="both"), BodyFeatures(), LipsFeatures(), PhonologyFeatures(), RawFeatures(channels=5),
)  # fmt: skip
FRONTENDS = {feature.kind: Frontend(features=(feature,)) for feature in EVERY} | {
    "all_with_motion": Frontend(
        features=EVERY,
        resampling=Resampling(num_frames=None),
        kinematics=Kinematics(acceleration=True, spectral_bands_hz=(2.0, 5.0)),
    )
}
each = pytest.mark.parametrize("frontend", list(FRONTENDS.values()), ids=list(FRONTENDS))


def inputs_for(frontend: Frontend, batch: int, frames: int) -> Inputs:
    return random_inputs(input_shapes([frontend]), batch, frames, np.random.default_rng(0))


@each
def test_slices_name_every_column_once(frontend: Frontend) -> None:
    columns = sorted((columns.start, columns.stop) for columns in frontend.slices.values())
    assert [start for start, _ in columns] == [0, *(stop for _, stop in columns[:-1])]
    values, lengths = compute_features(inputs_for(frontend, 3, 9), frontend)
    assert values.shape[2] == columns[-1][1] == frontend.size
    assert lengths.max() <= values.shape[1]


BESIDE = Frontend(features=(HandFeatures(), BodyFeatures()), kinematics=Kinematics())


@pytest.mark.parametrize(
    "frontend",
    [
        pytest.param(FRONTENDS["hand"], id="hand"),
        pytest.param(FRONTENDS["raw"], id="raw"),
        pytest.param(BESIDE, id="beside", marks=pytest.mark.slow),
    ],
)
def test_the_graph_gives_torchs_numbers(frontend: Frontend) -> None:
    """The other features have theirs beside their own tests."""
    check_parity(lambda inputs: compute_features(inputs, frontend).values, frontend.parts)


@each
def test_company_and_padding_change_nothing(frontend: Frontend) -> None:
    inputs = inputs_for(frontend, 4, 12)
    values, lengths = compute_features(inputs, frontend)
    for row in range(4):
        count = int(inputs.lengths[row])
        alone = Inputs(
            {part: points[row : row + 1, :count] for part, points in inputs.parts.items()},
            inputs.time_s[row : row + 1, :count], inputs.aspect[row : row + 1], inputs.lengths[row : row + 1],
        )  # fmt: skip
        single = compute_features(alone, frontend)
        assert int(single.lengths[0]) == int(lengths[row])
        kept = values[row : row + 1, : single.values.shape[1]]
        largest_F = kept.abs().nan_to_num().flatten(0, 1).amax(0).clamp(min=1.0)
        assert torch.allclose(kept / largest_F, single.values / largest_F, atol=1e-5, rtol=0, equal_nan=True)


@each
def test_a_clip_with_nothing_detected_has_no_infinite_number(frontend: Frontend) -> None:
    inputs = inputs_for(frontend, 2, 5)
    nothing = inputs._replace(parts={part: torch.full_like(p, torch.nan) for part, p in inputs.parts.items()})
    assert not compute_features(nothing, frontend).values.isinf().any()


def test_a_part_that_is_missing_costs_only_its_own_columns(make_hands: Callable[[], Inputs]) -> None:
    frontend = Frontend(features=(HandFeatures(side="both"),), resampling=Resampling(num_frames=6))
    inputs = make_hands()
    inputs.parts["left_hand"][:] = torch.nan
    values = compute_features(inputs, frontend).values
    assert values[..., frontend.slices["hand.left_hand"]].isnan().all()
    assert values[..., frontend.slices["hand.right_hand"]].isfinite().all()


@pytest.fixture
def make_hands() -> Callable[[], Inputs]:
    def make() -> Inputs:
        generator = torch.Generator().manual_seed(0)
        parts = {side: torch.rand(2, 8, 21, 3, generator=generator) for side in ("left_hand", "right_hand")}
        return Inputs(parts, torch.arange(8).expand(2, -1) / 30, torch.ones(2), torch.tensor([8, 8]))

    return make


def test_one_kind_of_feature_stands_there_once() -> None:
    with pytest.raises(ValidationError, match="at most once"):
        Frontend(features=(HandFeatures(), HandFeatures(side="left")))
