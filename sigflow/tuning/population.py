"""Population-based training (PBT, Jaderberg et al. 2017), as far as it needs no Ray: a third way to propose settings.

Members train on the first fold side by side, in segments of their epochs. After each, those that are worst on its stop
part take over weights and settings of good ones, and change these settings a little. Weights can be copied because all
members have one shape and one order of clips: only what `recipes.space.live` names is searched, the rest stays as the
recipe has it. The test part has no say: it scores the trials, which train the settings found here anew, from their
first epoch. So what a population learns about when a setting should change is lost: only where each member ended is
kept, and good late settings (a low rate) are not always good ones from the start, which is what the trials tell.

population.parquet holds one row for each member and segment.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.models.recogniser import PortfolioConfig
from sigflow.models.rocket import RocketConfig
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Space, height, live, number_at, value_at
from sigflow.storage import Location
from sigflow.tuning.trials import Overrides, sign_of

POPULATION = "population.parquet"
MEMBERS = 8
_SEGMENTS = 10
_TRIED = 8  # settings that become trials
_STEP = 0.1  # of an axis, up or down
_DRAWN_ANEW = 0.25  # probability for each setting, instead of a step


class Step(Config):
    """One member in one segment. `donor`: whose weights and settings it took over before; `score`: on the stop part."""

    segment: int  # from 1
    member: int
    donor: int | None = None
    settings: Overrides
    score: float | None  # None: it failed, for that `reason`
    reason: str | None = None
    seconds: float
    ended_s: float  # since the search began


def refuse_unfit(recipes: Sequence[Recipe], spaces: Sequence[Space], members: int) -> None:
    """What cannot be searched with a population.

    Raises:
        UserError: it is several recipes, or has nothing to change, or is no single network that is trained in epochs.
    """
    if len(recipes) > 1:
        raise UserError(
            "--search pbt takes one recipe: weights of one network do not fit into another; search one by one"
        )
    (recipe,), (space,) = recipes, spaces
    if isinstance(recipe.model, PortfolioConfig | RocketConfig) or recipe.curriculum.vocabularies:
        raise UserError(
            f"--search pbt copies one network between epochs, and {recipe.name} has several, or none that is trained "
            "in epochs, or a curriculum; use --search tpe"
        )
    if not live(space):
        raise UserError(
            f"--search pbt changes settings while a network is trained, and of {', '.join(space) or recipe.name} none "
            "can be (optim.lr, loss.*, augmentation.*, dropout: numbers of a range); use --search tpe"
        )
    if members < 2:
        raise UserError("--search pbt needs a population: --trials of at least 2, or leave it away")


def segments_of(recipe: Recipe, clips: int) -> int:
    """Ten, or fewer where so many training clips are not even trained on for ten epochs."""
    return min(_SEGMENTS, recipe.train.epochs_for(clips))


def first_settings(recipe: Recipe, space: Space, members: int, rng: np.random.Generator) -> list[Overrides]:
    """The recipe's own, and others drawn from the space."""
    own = {key: value_at(recipe, key) for key in live(space)}
    drawn = [{key: number_at(axis, rng.random()) for key, axis in live(space).items()} for _ in range(members - 1)]
    return [own, *drawn]


def perturbed(settings: Overrides, space: Space, rng: np.random.Generator) -> Overrides:
    """Each setting a step up or down its axis, up to its end, or drawn anew.

    Steps, not factors as in the paper: a factor cannot leave 0, where many settings are off.
    """

    def moved(key: str) -> float:
        axis = live(space)[key]
        if rng.random() < _DRAWN_ANEW:
            return number_at(axis, rng.random())
        step = _STEP if rng.random() < 0.5 else -_STEP
        return number_at(axis, min(max(height(axis, settings[key]) + step, 0.0), 1.0))

    return {key: moved(key) for key in live(space)}


def ends_of(steps: Sequence[Step]) -> list[Step]:
    """The last step of each member."""
    return list({step.member: step for step in sorted(steps, key=lambda step: step.segment)}.values())


def found(steps: Sequence[Step], score: str) -> list[Overrides]:
    """With what the members ended, best first, each once; those that failed in the end have nothing to say."""
    alive = [step for step in ends_of(steps) if step.score is not None]
    order = sorted(alive, key=lambda step: (-sign_of(score) * (step.score or 0.0), step.member))
    distinct = [step.settings for n, step in enumerate(order) if step.settings not in [s.settings for s in order[:n]]]
    return distinct[:_TRIED]


def spent_s(steps: Sequence[Step]) -> float:
    """Of the search's time."""
    return max((step.ended_s for step in steps), default=0.0)


def counted(steps: Sequence[Step]) -> dict[str, Any]:
    """What a search tells of its population. `failed`: members without a score in the end."""
    ends = ends_of(steps)
    return {
        "members": len(ends), "segments": max((step.segment for step in steps), default=0),
        "copied": sum(step.donor is not None for step in steps), "failed": sum(step.score is None for step in ends),
        "seconds": round(spent_s(steps), 1),
    }  # fmt: skip


def write_population(place: Location, steps: Sequence[Step]) -> None:
    """Into the search's folder `place`; at once or not at all. A column for each setting."""
    rows = [step.model_dump(exclude={"settings"}) | {k: float(v) for k, v in step.settings.items()} for step in steps]
    kinds = {"donor": pa.int64(), "score": pa.float64(), "reason": pa.string()}  # where all are null
    columns = {name: pa.array([row[name] for row in rows], kinds.get(name)) for name in rows[0]}
    (place / POPULATION).write_parquet(pa.table(columns))


def read_population(place: Location) -> list[Step] | None:
    """What was written; None: no population has ended here.

    Raises:
        UserError: the file is damaged.
    """
    file = place / POPULATION
    if not file.exists():
        return None
    try:
        return [_step(row) for row in file.read_parquet().to_pylist()]
    except (pa.ArrowException, ValidationError) as error:
        raise UserError(f"{file} is damaged or of another sigflow; delete it, or choose another --out") from error


def _step(row: dict[str, Any]) -> Step:
    mine = {name: value for name, value in row.items() if name in Step.model_fields}
    return Step(settings={name: value for name, value in row.items() if name not in mine}, **mine)
