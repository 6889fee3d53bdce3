"""Which settings mattered: how much of the scores' variance each explains (functional ANOVA, Hutter et al. 2014).

Judged by the first fold alone, which every trial was tested on, however early it was stopped: those that ran to the end
are few, and all good.
"""

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from sigflow.recipes.space import Space
from sigflow.tuning.propose import distribution, lies_in, stored
from sigflow.tuning.trials import Trial

LEAST = 10  # trials: with fewer a forest of trees tells noise


def usable(trials: Sequence[Trial], recipe: str, space: Space) -> list[Trial]:
    """Trials of this recipe with a first fold, and settings that lie in the space."""
    return [trial for trial in trials if trial.recipe == recipe and trial.scores and lies_in(space, trial)]


def importances(trials: Sequence[Trial], recipe: str, space: Space) -> Mapping[str, float] | None:
    """Of each setting its share, adding up to 1, the largest first; None: too few trials, or all scores alike."""
    fit = usable(trials, recipe, space)
    if len(fit) < LEAST or len({trial.scores[0] for trial in fit}) < 2:
        return None
    study = optuna.create_study()
    distributions: dict[str, BaseDistribution] = {key: distribution(axis) for key, axis in space.items()}
    for trial in fit:
        params = {key: stored(space[key], value) for key, value in trial.overrides.items()}
        study.add_trial(optuna.trial.create_trial(value=trial.scores[0], params=params, distributions=distributions))
    found: dict[str, float] = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return dict(sorted(found.items(), key=lambda item: -item[1]))
