"""If these fail, somebody believes a score that was chosen for being high."""

from pathlib import Path
from typing import Any

from sigflow.storage import locate
from sigflow.tuning.page import verdict, write_page
from tests.tuning.made import trial
from tests.tuning.test_search import RECIPE, search

ANSWER: dict[str, Any] = {
    "best": {"recipe": RECIPE.name, "trial": 1, "overrides": {"optim.lr": 1e-3}, "score": 0.9123, "folds": 3},
    "as_it_was": {"score": 0.8, "folds": 3}, "trials": 3,
    "remeasured": {"score": 0.8765, "what": "fresh folds (5@1)"},
}  # fmt: skip


def test_both_figures_are_told_and_which_to_believe(tmp_path: Path) -> None:
    rates = [1e-3, 2e-3, 5e-3]
    space = {"optim.lr": search().spaces[RECIPE.name]["optim.lr"]}
    trials = [
        trial(number, *[0.9] * (3 - number), recipe=RECIPE.name, overrides={"optim.lr": rate},
              reason="<b>others</b>" if number else None)
        for number, rate in enumerate(rates)
    ]  # fmt: skip
    place = write_page(locate(tmp_path), search(spaces={RECIPE.name: space}), trials, ANSWER)
    html = Path(place.uri).read_text()
    assert "0.9123" in html
    assert "0.8765" in html
    assert "Believe this one" in html
    assert "it takes 10 trials" in html  # to say what mattered
    assert "<b>others</b>" not in html
    assert sorted(file.name for file in (tmp_path / "report").glob("*.png")) == ["parallel.png", "trials.png"]


def test_a_winner_that_was_not_measured_again_is_called_what_it_is() -> None:
    assert "flatters" in " ".join(verdict(ANSWER | {"remeasured": None, "as_it_was": None}, "macro_f1"))
