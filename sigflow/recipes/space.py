"""What a search may change of a recipe: for some of its keys, the values that they can take. Plain data.

A space stands beside its recipe, under the keys that `--set` takes, and holds the recipe's own values, so that a search
learns from the recipe as it stands too.
"""

import json
from collections.abc import Mapping
from math import exp, log
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from sigflow.config import Config
from sigflow.recipes.recipe import Recipe


class Uniform(Config):
    """Any number from `low` to `high`, all alike."""

    kind: Literal["uniform"] = "uniform"
    low: float
    high: float


class LogUniform(Config):
    """Any number from `low` to `high`, each factor alike: for numbers whose magnitude counts."""

    kind: Literal["log_uniform"] = "log_uniform"
    low: float = Field(gt=0)
    high: float = Field(gt=0)


class Choice(Config):
    """One of several values, as JSON has them: a tuple stands for a list."""

    kind: Literal["choice"] = "choice"
    values: tuple[Any, ...] = Field(min_length=2)

    @property
    def texts(self) -> tuple[str, ...]:
        """Each value as JSON."""
        return tuple(json.dumps(value) for value in self.values)


Axis: TypeAlias = Annotated[Uniform | LogUniform | Choice, Field(discriminator="kind")]
Space: TypeAlias = Mapping[str, Axis]
# What training looks at anew in each step: neither the network's shape, nor what the optimiser remembers, nor which
# data is read hangs on it. Not `optim.ema_decay`: the average is there from the first step or never.
_LIVE = ("optim.lr", "optim.weight_decay", "optim.clip_norm", "augmentation", "mixing", "loss")
_READS_MORE = "loss.alignment"  # above 0: when signs are made


def holds(axis: Axis, value: Any) -> bool:
    """Whether the axis can take this value."""
    match axis:
        case Choice():
            return json.dumps(value) in axis.texts
        case number:
            return isinstance(value, int | float) and number.low <= value <= number.high


def live(space: Space) -> dict[str, Uniform | LogUniform]:
    """What of it may change while a network is being trained, which then goes on with the weights that it has.

    Of the optimiser's, the augmentation's and the loss's settings, and of dropout, those that are any number of a
    range: between choices there is no small step.
    """
    return {
        key: axis
        for key, axis in space.items()
        if not isinstance(axis, Choice) and key != _READS_MORE
        if key.startswith(tuple(f"{name}." for name in _LIVE)) or key in _LIVE or key.endswith(".dropout")
    }


def height(axis: Uniform | LogUniform, value: float) -> float:
    """How far up the axis a value is, from 0 to 1; one beyond its end is at the end."""
    within = min(max(value, axis.low), axis.high)
    if isinstance(axis, LogUniform):
        return log(within / axis.low) / log(axis.high / axis.low)
    return (within - axis.low) / (axis.high - axis.low)


def number_at(axis: Uniform | LogUniform, share: float) -> float:
    """The number at this height, from 0 to 1, as it is written into a recipe."""
    if isinstance(axis, LogUniform):
        return written(axis, axis.low * exp(share * log(axis.high / axis.low)))
    return written(axis, axis.low + share * (axis.high - axis.low))


def written(axis: Uniform | LogUniform, number: float) -> float:
    """With three digits, which is more than any search can tell apart, and still on the axis."""
    return min(max(float(f"{number:.3g}"), axis.low), axis.high)


def value_at(recipe: Recipe, key: str) -> Any:
    """What the recipe has at `key`, as JSON has it.

    Raises:
        KeyError: it has no such key.
    """
    place: Any = recipe.model_dump(mode="json")
    for name in key.split("."):
        if not isinstance(place, dict):
            raise KeyError(key)
        place = place[name]
    return place
