"""If these fail, a few wild numbers or a wrong unit leave nothing for the model to learn from."""

import numpy as np

from sigflow.audit import make_plan
from sigflow.audit.features import MOST_CLIPS, draw_sample
from sigflow.data.clips import Clips
from sigflow.recipes.catalogue import find_recipe
from tests.audit.conftest import Find
from tests.audit.spoil import raw_clips


def channels(count: int = 100) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 1, (30, 4)) + row % 2 for row in range(count)]


def clips_of(values: list[np.ndarray]) -> Clips:
    return raw_clips(values, ["a", "b"] * (len(values) // 2), [f"person{row % 5}" for row in range(len(values))])


def test_plain_channels_are_no_finding(find: Find) -> None:
    found = find(clips_of(channels()), "any_sequence")
    assert not {"exploding_features", "unscaled_features"} & set(found)


def test_a_few_wild_values_are_found(find: Find) -> None:
    values = channels()
    values[7][3, 2] = 1e5
    found = find(clips_of(values), "any_sequence")
    assert found["exploding_features"].severity == "warning"
    assert "1 of 4 columns" in found["exploding_features"].evidence


def test_a_channel_too_small_for_the_scaler_is_found_and_a_constant_one_is_not(find: Find) -> None:
    values = [np.concatenate([clip[:, :2], clip[:, 2:3] * 1e-5, np.full((30, 1), 0.1)], 1) for clip in channels()]
    found = find(clips_of(values), "any_sequence")
    assert "1 of 4 columns" in found["unscaled_features"].evidence


def test_of_many_clips_a_sample_is_looked_at_and_said_to_be(good: Clips) -> None:
    plan = make_plan(find_recipe("isolated_gestures"), good)
    assert draw_sample(plan).note == ""
    many = good.select([row % len(good) for row in range(MOST_CLIPS + 1000)])
    sample = draw_sample(make_plan(find_recipe("isolated_gestures"), many))
    assert len(sample.rows) == MOST_CLIPS
    assert "6000 of 7000" in sample.note
