"""Landmarks to logits: features, resampling, scaler and model as one module, trained and exported as it is.

Shape suffixes: B batch, N frames after resampling, F features, K classes.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sigflow.features.hand import HandFeatures, hand_features
from sigflow.features.inputs import Inputs
from sigflow.features.resample import Resampling, resample
from sigflow.features.scaling import Scaler
from sigflow.models.lstm import LstmConfig, LstmModel

FeatureConfig = HandFeatures  # a union, as soon as there is a second
ModelConfig = LstmConfig


def compute_features(inputs: Inputs, features: FeatureConfig, resampling: Resampling) -> Float[Tensor, "B N F"]:
    """Unscaled features of a batch, NaN where missing."""
    match features:
        case HandFeatures():
            values_BTF = hand_features(inputs, features)
    return resample(values_BTF, inputs.time_s, resampling)


class Recogniser(nn.Module):
    """A fold's model. `forward` starts from landmarks, `classify` from the features that `compute_features` gave."""

    def __init__(self, features: FeatureConfig, resampling: Resampling, model: ModelConfig, num_classes: int) -> None:
        super().__init__()
        self.features, self.resampling = features, resampling
        self.scaler = Scaler(features.size)
        match model:
            case LstmConfig():
                self.model = LstmModel(model, features.size, num_classes)

    def classify(self, values_BNF: Float[Tensor, "B N F"]) -> Float[Tensor, "B K"]:
        """Features to logits."""
        lengths_B = torch.full_like(values_BNF[:, 0, 0], values_BNF.shape[1], dtype=torch.int64)
        logits: Tensor = self.model(self.scaler(values_BNF), lengths_B)
        return logits

    def forward(self, inputs: Inputs) -> Float[Tensor, "B K"]:
        """Landmarks to logits."""
        return self.classify(compute_features(inputs, self.features, self.resampling))
