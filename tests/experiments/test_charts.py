"""If these fail, the picture of all runs is empty, mixes macro-F1 with WER, or does not fit a page."""

from typing import Any

import pytest

from sigflow.experiments.charts import runs_chart
from sigflow.report.style import BLUE, ORANGE
from tests.report.pictures import pixels, share


def row(number: int, score: str = "macro_f1", gap: float | None = 0.1) -> dict[str, Any]:
    return {"run": f"run $x_{number}$", "score_name": score, "score_mean": 0.5, "score_sd": 0.1, "gap": gap}


def test_macro_f1_is_blue_and_wer_orange() -> None:
    classes, sentences = (pixels(runs_chart([row(0, score), row(1, score)])) for score in ("macro_f1", "wer"))
    assert share(classes, BLUE) > 10 * share(classes, ORANGE)
    assert share(sentences, ORANGE) > 10 * share(sentences, BLUE)
    both = pixels(runs_chart([row(0), row(1, "wer")]))
    assert min(share(both, BLUE), share(both, ORANGE)) > 0.0001


def test_a_run_without_a_gap_is_drawn_where_it_can_be() -> None:
    assert share(pixels(runs_chart([row(0, gap=None)])), BLUE) > 0.0001


@pytest.mark.parametrize("count", [1, 200])
def test_one_run_and_many_fit_a_page(count: int) -> None:
    assert pixels(runs_chart([row(number) for number in range(count)])).shape[1] < 1700
