"""If these fail, an epoch at which a fold broke down is not seen."""

from typing import Any

import numpy as np

from sigflow.report import loss_curves
from sigflow.report.style import BLUE, ORANGE
from tests.report.pictures import pixels, share


def history(folds: int, epochs: int, **more: str) -> list[dict[str, Any]]:
    """As csv.DictReader reads history.csv: all text."""
    names = ("loss", "accuracy", "stop_loss", "stop_accuracy")
    return [
        {"fold": str(fold), "epoch": str(epoch)}
        | {name: str((1 + number) / (1 + epoch + fold)) for number, name in enumerate(names)}
        | more
        for fold in range(folds)
        for epoch in range(epochs)
    ]


def test_every_fold_is_drawn_on_both_parts() -> None:
    one, three = (pixels(loss_curves(history(folds, 8))) for folds in (1, 3))
    for colour in (BLUE, ORANGE):
        assert share(three, colour) > 1.3 * share(one, colour) > 0


def test_monitors_that_history_has_get_a_panel_of_their_own() -> None:
    plain = pixels(loss_curves(history(2, 4)))
    watched = pixels(loss_curves(history(2, 4, stop_top_share="0.9", stop_entropy="0.2", unheard_of="1")))
    assert watched.shape[0] > 1.6 * plain.shape[0]  # four panels: two rows


def test_columns_that_only_some_epochs_have_are_drawn_where_they_are() -> None:
    rows = history(1, 4) + history(1, 4, stop_entropy="", grad_norm="nan") + history(1, 1, stop_entropy="0.5")
    assert pixels(loss_curves(rows)).size


def test_a_run_of_one_epoch_still_has_its_curves() -> None:
    assert share(pixels(loss_curves(history(2, 1))), ORANGE) > share(
        pixels(loss_curves(history(2, 1, stop_loss=""))), ORANGE
    )


def test_the_kept_epoch_is_marked_and_members_of_a_portfolio_are_lines_of_their_own() -> None:
    unmarked, marked = (pixels(loss_curves(history(1, 6), best)) for best in ({}, {0: 3}))
    assert share(marked, ORANGE) > share(unmarked, ORANGE)
    members = history(1, 4, member="0") + history(1, 4, member="1")
    assert not np.array_equal(pixels(loss_curves(members)), pixels(loss_curves(history(1, 4))))
