"""What to try next: Optuna over the spaces of one recipe or several.

Of several recipes the choice among them is one more setting, and each one's own settings exist only where it is chosen.
A trial that was stopped counts as worse than those that went further, whatever its score: it is a mean over fewer
folds, which may have been the easy ones. One that failed counts as the worst.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from sigflow.recipes.space import Axis, Choice, LogUniform, Space, holds, written
from sigflow.tuning.trials import Overrides, Trial, sign_of

Method: TypeAlias = Literal["tpe", "random", "pbt"]
_RANDOM_FIRST = 8  # trials before the model of good settings is asked


class Proposer:
    """Asked for settings by a trial's number, told of every trial when it has ended.

    Not asked where a population (pbt) proposes, see `sigflow.tuning.population`.
    """

    def __init__(self, spaces: Mapping[str, Space], method: Method, score: str, *, seed: int) -> None:
        self._spaces, self._sign = spaces, sign_of(score)
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # or it tells of every study
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.RandomSampler(seed)
            if method == "random"
            else optuna.samplers.TPESampler(n_startup_trials=_RANDOM_FIRST, seed=seed)
        )
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self, number: int) -> tuple[str, Overrides]:
        """A recipe's name and settings of it, for the trial of this number."""
        trial = self._asked[number] = self._study.ask()
        names = list(self._spaces)
        name = str(trial.suggest_categorical("recipe", names)) if len(names) > 1 else names[0]
        return name, {key: _suggest(trial, f"{name}/{key}", axis) for key, axis in self._spaces[name].items()}

    def tell(self, trial: Trial) -> None:
        """How it ended; also of trials that somebody else thought of, if they lie in the space."""
        steps = {step: self._sign * score for step, score in enumerate(_running(trial.scores), 1)}
        complete = trial.state == "complete"
        steps = {} if trial.state == "failed" else steps
        asked = self._asked.pop(trial.number, None)
        state = TrialState.COMPLETE if complete else TrialState.PRUNED
        value = steps[len(steps)] if complete else None
        if asked is not None:
            for step, score in steps.items():
                asked.report(score, step)
            self._study.tell(asked, value, state)
            return
        space = self._spaces[trial.recipe]
        if not lies_in(space, trial):
            return
        named = {f"{trial.recipe}/{key}": (axis, trial.overrides[key]) for key, axis in space.items()}
        distributions: dict[str, BaseDistribution] = {name: distribution(axis) for name, (axis, _) in named.items()}
        params = {name: stored(axis, value) for name, (axis, value) in named.items()}
        if len(self._spaces) > 1:
            distributions["recipe"] = CategoricalDistribution(list(self._spaces))
            params["recipe"] = trial.recipe
        self._study.add_trial(
            optuna.trial.create_trial(
                state=state, value=value, params=params, distributions=distributions, intermediate_values=steps
            )
        )


def _running(scores: tuple[float, ...]) -> list[float]:
    """The mean over the folds so far, after each."""
    return [sum(scores[:count]) / count for count in range(1, len(scores) + 1)]


def lies_in(space: Space, trial: Trial) -> bool:
    """Whether the trial has a value of each axis, and no other."""
    return trial.overrides.keys() == space.keys() and all(holds(space[k], v) for k, v in trial.overrides.items())


def distribution(axis: Axis) -> BaseDistribution:
    """The axis as Optuna has it; values are texts where it is a choice, as Optuna knows no lists."""
    match axis:
        case Choice():
            return CategoricalDistribution(axis.texts)
        case number:
            return FloatDistribution(number.low, number.high, log=isinstance(number, LogUniform))


def stored(axis: Axis, value: Any) -> str | float:
    """A value as Optuna has it."""
    return json.dumps(value) if isinstance(axis, Choice) else float(value)


def _suggest(trial: optuna.Trial, name: str, axis: Axis) -> Any:
    """As it is written into the recipe."""
    match axis:
        case Choice():
            return json.loads(str(trial.suggest_categorical(name, axis.texts)))
        case number:
            drawn = trial.suggest_float(name, number.low, number.high, log=isinstance(number, LogUniform))
            return written(number, drawn)
