"""What an experiment consists of; found by name or file, changed by overrides."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from sigflow.config import Config
from sigflow.data.augment import Augmentation, Mixing
from sigflow.errors import UserError
from sigflow.features.frontend import Frontend
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.raw import RawFeatures
from sigflow.losses import CrossEntropy, Ctc, LossConfig
from sigflow.models.bilstm import BilstmConfig
from sigflow.models.recogniser import ModelConfig, PortfolioConfig, SingleConfig
from sigflow.models.rocket import RocketConfig
from sigflow.monitors import Monitors
from sigflow.optim import OptimConfig
from sigflow.recipes.ways import Auxiliary, Curriculum, Pretraining, TrainConfig
from sigflow.topology import INPUTS, SIGNING

AT_MOST = frozenset({"wer", "ece", "false_alarms_per_hour"})  # gates that smaller figures pass


class Gates(Config):
    """What pooled out-of-fold results must reach for the run to pass; the names are those of metrics.json.

    precision, recall, f1, roc_auc, average_precision: of two classes those of the second one in order (of ADL and Fall:
    Fall), of more the means over classes.
    """

    accuracy: float | None = None
    macro_f1: float | None = None
    worst_subject_accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    roc_auc: float | None = None
    average_precision: float | None = None
    top_3: float | None = None  # the right class is among the 3 likeliest
    top_5: float | None = None
    wer: float | None = None
    ece: float | None = None
    false_alarms_per_hour: float | None = None

    def judge(self, figures: Mapping[str, Any]) -> dict[str, dict[str, float | bool | None]]:
        """Of each gate that is set: target, value, passed. What was not measured is not passed."""
        gates: dict[str, dict[str, float | bool | None]] = {}
        for name, target in self.model_dump(exclude_none=True).items():
            value = figures.get(name)
            passed = value is not None and (value <= target if name in AT_MOST else value >= target)
            gates[name] = {"target": target, "value": value, "passed": passed}
        return gates


class Classes(Config):
    """Which labels (or glosses) are learnt: clips of others are left out before folding, and counted."""

    min_clips: int = Field(default=1, ge=1)
    top_n: int | None = Field(default=None, ge=2)  # the most frequent ones


class Recipe(Config):
    """One experiment, declarative: the same recipe, data and folds give the same run."""

    name: str
    frontend: Frontend
    model: ModelConfig
    augmentation: Augmentation = Augmentation()
    mixing: Mixing = Mixing()
    loss: LossConfig = CrossEntropy()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    auxiliary: Auxiliary = Auxiliary()
    curriculum: Curriculum = Curriculum()
    pretraining: Pretraining = Pretraining()
    monitors: Monitors = Monitors()
    classes: Classes = Classes()
    gates: Gates = Gates()

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        if self.mixing != Mixing() and self.frontend.resampling.num_frames is None:
            raise ValueError("mixing needs clips of one length: set frontend.resampling.num_frames")
        models = self.model.members if isinstance(self.model, PortfolioConfig) else (self.model,)
        if any(self.sentences != (isinstance(model, BilstmConfig) and model.per_frame) for model in models):
            raise ValueError("ctc needs a model that answers for each frame (bilstm with per_frame), others must not")
        rockets = [model for model in models if isinstance(model, RocketConfig)]
        if self.loss_weights and not all(rocket.balanced for rocket in rockets):
            raise ValueError("a rocket knows no loss: set its balanced beside loss.class_weights")
        if len(rockets) == len(models) and (self.augmentation != Augmentation() or self.mixing != Mixing()):
            raise ValueError("a rocket is solved once on the clips as they are: take augmentation and mixing out")
        if (self.auxiliary.heads or self.pretraining.epochs) and not isinstance(self.model, BilstmConfig):
            raise ValueError("auxiliary heads and pretraining need a model with a state for each frame: bilstm")
        if self.reads_signing and self.frontend.resampling.num_frames is not None:
            raise ValueError(
                "auxiliary.segmentation and loss.alignment need the frames as they are: set "
                "frontend.resampling.num_frames to null"
            )
        foreign = "macro_f1" if self.sentences else "wer"
        if self.train.stop_on == foreign or getattr(self.gates, foreign) is not None:
            raise ValueError(f"{foreign} is no figure of this loss: change train.stop_on and gates.{foreign}")
        return self

    @property
    def sentences(self) -> bool:
        """Whether sentences of glosses are recognised, or one class for each clip."""
        return isinstance(self.loss, Ctc)

    @property
    def parts(self) -> tuple[str, ...]:
        """What is read of the data."""
        wanted = {*self.frontend.parts, *(self.phonology_frontend.parts if self.reads_phonology else ())}
        return (*(part for part in INPUTS if part in wanted), *((SIGNING,) if self.reads_signing else ()))

    @property
    def reads_signing(self) -> bool:
        """Whether training needs to know in which frames there are signs."""
        return bool(self.auxiliary.segmentation or (isinstance(self.loss, Ctc) and self.loss.alignment))

    @property
    def reads_phonology(self) -> bool:
        """Whether training needs to know what the hands do, beside what the model reads."""
        return bool(self.auxiliary.phonology or self.pretraining.quantiser_epochs)

    @property
    def phonology_frontend(self) -> Frontend:
        """What the hands do, at the times of the features."""
        return Frontend(features=(PhonologyFeatures(),), resampling=self.frontend.resampling)

    @property
    def score(self) -> str:
        """The figure by which runs of this recipe are compared: macro-F1, higher is better, or WER, lower is."""
        return "wer" if self.sentences else "macro_f1"

    @property
    def loss_weights(self) -> bool:
        """Whether rare classes weigh more."""
        return not isinstance(self.loss, Ctc) and self.loss.class_weights

    def fitted_to(self, *, longest: int, channels: int | None) -> "Recipe":
        """The recipe with what only the data knows: how many channels `raw` has, and whether clips are too long."""
        features = tuple(
            feature.model_copy(update={"channels": feature.channels or channels})
            if isinstance(feature, RawFeatures) else feature
            for feature in self.frontend.features
        )  # fmt: skip
        resampling = self.frontend.resampling
        if resampling.max_frames and longest > resampling.max_frames:
            resampling = resampling.model_copy(update={"num_frames": resampling.max_frames})
        frontend = self.frontend.model_copy(update={"features": features, "resampling": resampling})
        frames = resampling.num_frames or longest
        match self.model:
            case PortfolioConfig():
                members = tuple(_of_length(member, frames) for member in self.model.members)
                model: ModelConfig = self.model.model_copy(update={"members": members})
            case single:
                model = _of_length(single, frames)
        return self.model_copy(update={"frontend": frontend, "model": model})


def _of_length(model: SingleConfig, frames: int) -> SingleConfig:
    return model.model_copy(update={"frames": frames}) if isinstance(model, RocketConfig) else model


def override(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe with `key.key=value` changed; values are JSON, or else plain text.

    Raises:
        UserError: an unknown key, or a value that does not fit.
    """
    values: dict[str, Any] = recipe.model_dump()
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text}: write key=value, for instance optim.lr=3e-4")
        *path, last = key.split(".")
        place: Any = values
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise UserError(f"--set {key}: no such key; the recipe has {', '.join(sorted(_keys(recipe.model_dump())))}")
        try:
            place[last] = json.loads(value)
        except json.JSONDecodeError:
            place[last] = value
    return _validated(values, "--set")


def read_recipe(file: Path) -> Recipe:
    """A recipe from a JSON file."""
    try:
        return _validated(json.loads(file.read_text()), str(file))
    except (OSError, UnicodeError, json.JSONDecodeError) as error:
        raise UserError(f"{file} is not a recipe: {error}") from error


def _validated(values: Any, origin: str) -> Recipe:
    try:
        return Recipe.model_validate_json(json.dumps(values), strict=True)  # JSON mode: lists stand for tuples
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{origin}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error


def _keys(values: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        path
        for key, value in values.items()
        for path in (_keys(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key])
    ]
