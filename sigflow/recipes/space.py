"""What a search may change of a recipe: for some of its keys, the values that they can take. Plain data.

A space stands beside its recipe, under the keys that `--set` takes, and holds the recipe's own values, so that a search
learns from the recipe as it stands too.
"""

import json
from collections.abc import Mapping
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


def holds(axis: Axis, value: Any) -> bool:
    """Whether the axis can take this value."""
    match axis:
        case Choice():
            return json.dumps(value) in axis.texts
        case number:
            return isinstance(value, int | float) and number.low <= value <= number.high


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
