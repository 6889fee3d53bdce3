"""A search for better settings of a recipe, as far as it needs no Ray: what is tried, how it is measured, what is told.

`page` and `charts` are not named here: workers need no pictures.
"""

from sigflow.tuning.measure import Standing, train_in_turn
from sigflow.tuning.propose import Proposer
from sigflow.tuning.search import Search, start_search
from sigflow.tuning.trials import Overrides, Trial, best_of, changed, read_trials, table, write_trial

__all__ = [
    "Overrides", "Proposer", "Search", "Standing", "Trial", "best_of", "changed", "read_trials", "start_search",
    "table", "train_in_turn", "write_trial",
]  # fmt: skip
