"""Landmarks to logits: features, scaler and model as one module, trained and exported as it is.

Shape suffixes: B batch, N frames after resampling, F features, K classes.
"""

from jaxtyping import Float
from torch import Tensor, nn

from sigflow.features.frontend import Frontend, Sequences, compute_features
from sigflow.features.inputs import Inputs
from sigflow.features.scaling import Scaler
from sigflow.models.lstm import LstmConfig, LstmModel

ModelConfig = LstmConfig  # a union, as soon as there is a second


class Recogniser(nn.Module):
    """A fold's model. `forward` starts from landmarks, `classify` from the features that `compute_features` gave."""

    def __init__(self, frontend: Frontend, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.frontend, self.num_classes = frontend, num_classes
        self.scaler = Scaler(frontend.size)
        match model:
            case LstmConfig():
                self.model = LstmModel(model, frontend.size, num_classes)

    def classify(self, sequences: Sequences) -> Float[Tensor, "B K"]:
        """Features to logits."""
        logits: Tensor = self.model(self.scaler(sequences.values), sequences.lengths)
        return logits

    def forward(self, inputs: Inputs) -> Float[Tensor, "B K"]:
        """Landmarks to logits."""
        return self.classify(compute_features(inputs, self.frontend))
