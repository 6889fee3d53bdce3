"""Out-of-fold predictions to members, weights and a temperature. A member is a run: its fold models, averaged.

`read_pool` lays runs side by side, `choose` decides, and both what is decided and how well it does are judged on clips
that had no say in it (`nested`).
"""

from sigflow.ensemble.budget import Budget
from sigflow.ensemble.choose import choose
from sigflow.ensemble.members import Ensemble, Member, average
from sigflow.ensemble.pool import Pool, read_pool

__all__ = ["Budget", "Ensemble", "Member", "Pool", "average", "choose", "read_pool"]
