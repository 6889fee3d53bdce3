"""An ensemble as one torch module: what the graph must repeat.

Shape suffixes: B batch, T frames, K classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sigflow.ensemble import Ensemble
from sigflow.features.frontend import compute_features, input_shapes
from sigflow.features.inputs import from_flat
from sigflow.models.recogniser import Recogniser

SMALLEST = 1e-12  # a probability whose logarithm is taken is at least this


class EnsembleModel(nn.Module):
    """Weighted average of the members' probabilities, divided by `temperature` in its logarithms (1: as it is).

    A member's models share its features.
    """

    def __init__(
        self, groups: Sequence[Sequence[Recogniser]], weights: Sequence[float], temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.groups = [tuple(group) for group in groups]
        self.weights, self.temperature = tuple(weights), temperature
        self.shapes = input_shapes([group[0].frontend for group in self.groups])
        self.models = nn.ModuleList(model for group in groups for model in group)  # so that torch knows their weights

    def forward(self, *flat: Tensor) -> Tensor:
        """Inputs in the order of `input_names` to probabilities (B, K), or (B, T, K) of frames for sentences."""
        inputs = from_flat(tuple(self.shapes), flat)
        total = torch.zeros(())
        for group, weight in zip(self.groups, self.weights, strict=True):
            sequences = compute_features(inputs, group[0].frontend)
            for model in group:
                total = total + model.classify(sequences).softmax(-1) * (weight / len(group))
        if self.temperature == 1.0:
            return total
        return (total.clamp(min=SMALLEST).log() / self.temperature).softmax(-1)


def ensemble_model(ensemble: Ensemble) -> EnsembleModel:
    """The members' models, ready to predict: of each its fold models, or the one that takes their place."""
    groups = []
    for member in ensemble.members:
        group = []
        for weights in member.weights():
            recipe = member.run.recipe
            model = Recogniser(recipe.frontend, recipe.model, len(ensemble.labels))
            model.load_state_dict({name: weights[name] for name in model.state_dict()})  # without auxiliary heads
            group.append(model.eval())
        groups.append(group)
    return EnsembleModel(groups, [member.weight for member in ensemble.members], ensemble.temperature).eval()
