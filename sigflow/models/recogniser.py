"""Landmarks to logits: features, scaler and model as one module, trained and exported as it is.

Shape suffixes: B batch, N frames after resampling, F features, K classes.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, TypeAlias, cast

from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from sigflow.config import Config
from sigflow.features.frontend import Frontend, Sequences, compute_features
from sigflow.features.inputs import Inputs
from sigflow.features.scaling import Scaler
from sigflow.models.bilstm import BilstmConfig, BilstmModel
from sigflow.models.conv_transformer import ConvTransformerConfig, ConvTransformerModel
from sigflow.models.graph import GraphConfig, GraphModel, node_graph
from sigflow.models.inception import InceptionConfig, InceptionModel
from sigflow.models.lstm import LstmConfig, LstmModel
from sigflow.models.mlp import MlpConfig, MlpModel
from sigflow.models.portfolio import Portfolio
from sigflow.models.rocket import RocketConfig, RocketModel

SingleConfig: TypeAlias = Annotated[
    LstmConfig | BilstmConfig | MlpConfig | ConvTransformerConfig | InceptionConfig | RocketConfig | GraphConfig,
    Field(discriminator="kind"),
]


class PortfolioConfig(Config):
    """Members that are trained one after the other, each for itself, and weighed on each fold's stop part."""

    kind: Literal["portfolio"] = "portfolio"
    members: tuple[SingleConfig, ...] = Field(min_length=2)


ModelConfig: TypeAlias = Annotated[
    LstmConfig
    | BilstmConfig
    | MlpConfig
    | ConvTransformerConfig
    | InceptionConfig
    | RocketConfig
    | GraphConfig
    | PortfolioConfig,
    Field(discriminator="kind"),
]


class FrameModel(Protocol):
    """A model in two steps: a state for each frame, and what they say together."""

    state_size: int

    def frame_states(self, x_BNF: Tensor, lengths_B: Tensor, seen_BN: Tensor) -> Tensor:
        """(B, N, state_size)."""

    def decide(self, states_BNC: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits."""


class Recogniser(nn.Module):
    """A fold's model. `forward` starts from landmarks, `classify` from the features that `compute_features` gave."""

    def __init__(
        self, frontend: Frontend, model: ModelConfig, num_classes: int, heads: Mapping[str, int] | None = None
    ) -> None:
        """`heads`: outputs of each auxiliary head; only models with `frame_states` can have one."""
        super().__init__()
        self.frontend, self.num_classes = frontend, num_classes
        self.scaler = Scaler(frontend.size)
        if isinstance(model, PortfolioConfig):
            self.model: nn.Module = Portfolio([_build(frontend, member, num_classes) for member in model.members])
        else:
            self.model = _build(frontend, model, num_classes)
        self.auxiliary = nn.ModuleDict(
            {name: nn.Linear(cast(int, self.model.state_size), size) for name, size in (heads or {}).items()}
        )
        # What is measured is standardised before it is taught; shares are taught as they are.
        self.auxiliary_scalers = nn.ModuleDict(
            {name: Scaler(size) for name, size in (heads or {}).items() if name == "phonology"}
        )

    def prepare(self, sequences: Sequences) -> tuple[Float[Tensor, "B N F"], Int[Tensor, " B"], Bool[Tensor, "B N"]]:
        """What models take: standardised values, lengths, and in which frames anything was seen."""
        return self.scaler(sequences.values), sequences.lengths, ~sequences.values.isnan().all(-1)

    def classify(self, sequences: Sequences) -> Float[Tensor, "B ..."]:
        """Features to logits: (B, K), or (B, N, K) of models that answer for each frame."""
        logits: Tensor = self.model(*self.prepare(sequences))
        return logits

    def answer(self, sequences: Sequences) -> tuple[Float[Tensor, "B ..."], dict[str, Float[Tensor, "B N _C"]]]:
        """Logits, and what each auxiliary head says of each frame: for training."""
        if not self.auxiliary:
            return self.classify(sequences), {}
        x_BNF, lengths_B, seen_BN = self.prepare(sequences)
        model = cast(FrameModel, self.model)
        states_BNC = model.frame_states(x_BNF, lengths_B, seen_BN)
        others = {name: head(states_BNC) for name, head in self.auxiliary.items()}
        return model.decide(states_BNC, lengths_B), others

    def forward(self, inputs: Inputs) -> Float[Tensor, "B ..."]:
        """Landmarks to logits."""
        return self.classify(compute_features(inputs, self.frontend))

    def only(self, member: nn.Module) -> "Recogniser":
        """The same features and scaler, shared, in front of one member of a portfolio."""
        alone = Recogniser.__new__(Recogniser)
        nn.Module.__init__(alone)
        alone.frontend, alone.num_classes, alone.scaler, alone.model = (
            self.frontend, self.num_classes, self.scaler, member,
        )  # fmt: skip
        alone.auxiliary, alone.auxiliary_scalers = nn.ModuleDict(), nn.ModuleDict()
        return alone


def _build(frontend: Frontend, config: SingleConfig, num_classes: int) -> nn.Module:
    match config:
        case LstmConfig():
            return LstmModel(config, frontend.size, num_classes)
        case BilstmConfig():
            return BilstmModel(config, frontend.size, num_classes)
        case MlpConfig():
            return MlpModel(config, frontend.size, num_classes)
        case ConvTransformerConfig():
            return ConvTransformerModel(config, frontend.size, num_classes)
        case InceptionConfig():
            return InceptionModel(config, frontend.size, num_classes)
        case RocketConfig():
            return RocketModel(config, frontend.size, num_classes)
        case GraphConfig():
            return GraphModel(config, frontend.size, num_classes, node_graph(frontend))
