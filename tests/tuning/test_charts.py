"""If these fail, a picture of a search shows another search, or one odd trial ends the report."""

import numpy as np
import pytest

from sigflow.recipes.space import Choice, LogUniform, Space, Uniform
from sigflow.report.style import BLUE, ORANGE
from sigflow.tuning.charts import importance_chart, parallel_chart, trials_chart
from tests.report.pictures import pixels, share
from tests.tuning.made import trial

SPACE: Space = {
    "optim.lr": LogUniform(low=1e-4, high=1e-2),
    "model.dropout": Uniform(low=0, high=0.5),
    "model.hidden": Choice(values=((8,), None, "a $ sign")),
}


def settings(rate: float, dropout: float, hidden: object) -> dict[str, object]:
    return {"optim.lr": rate, "model.dropout": dropout, "model.hidden": hidden}


def test_failures_are_seen_and_the_best_rises() -> None:
    good = [trial(0, 0.5, 0.5, 0.5), trial(1, 0.4), trial(2, 0.9, 0.9, 0.9)]
    without = pixels(trials_chart(good, "macro_f1"))
    failed = pixels(trials_chart([*good, trial(3, state="failed")], "macro_f1"))
    assert share(without, ORANGE) == 0
    assert share(failed, ORANGE) > 0
    blue = np.argwhere(np.abs(without - np.array([0, 0.447, 0.698])).max(-1) < 0.06)
    legend = (blue[:, 0] < 100) & (blue[:, 1] < 200)
    first, last = (blue[~legend & side, 0].min() for side in (blue[:, 1] < 200, blue[:, 1] > 800))
    assert last < 100 < first


@pytest.mark.parametrize("scores", [[], [0.5], [0.5, 0.5, 0.5]])
def test_one_trial_is_a_picture(scores: list[float]) -> None:
    assert pixels(trials_chart([trial(0, *scores)], "wer")).size


def test_every_setting_has_an_axis_and_equal_scores_do_no_harm() -> None:
    trials = [
        trial(0, 0.5, overrides=settings(1e-4, 0, [8])),
        trial(1, 0.5, overrides=settings(1e-2, 0.5, None)),
    ]
    for score in ("macro_f1", "wer"):
        assert pixels(parallel_chart(trials, SPACE, score)).size


def test_importance_is_a_bar_for_each_setting() -> None:
    assert share(pixels(importance_chart({"optim.lr": 0.9, "model.dropout": 0.1})), BLUE) > 0.05
