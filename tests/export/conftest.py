"""A trained ensemble of one member, and an untrained one of two."""

import onnxruntime
import pytest
import torch

from sigflow.ensemble import average
from sigflow.export import EnsembleModel, Exported, ensemble_model
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.resample import Resampling
from sigflow.models.graph import GraphConfig
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import ModelConfig, Recogniser
from sigflow.storage import Location


@pytest.fixture(scope="session")
def model(trained_run: Location) -> EnsembleModel:
    return ensemble_model(average([trained_run]))


@pytest.fixture(scope="session")
def session(exported_run: Exported) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(exported_run.graph, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session")
def mixed() -> EnsembleModel:
    """Two members of three folds each: different networks that see different frames and different hands."""
    moving = Frontend(features=(HandFeatures(),), resampling=Resampling(num_frames=7))
    right = Frontend(features=(HandFeatures(side="right"),), resampling=Resampling(num_frames=12, span="clip"))
    # The second has buffers that are not saved, and some that are.
    graph = GraphConfig(spatial_dim=4, spatial_layers=1, temporal_dim=4, temporal_layers=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        groups = [untrained(moving, LstmConfig(hidden=(6,), dense=4)), untrained(right, graph)]
    return EnsembleModel(groups, [0.75, 0.25]).eval()


def untrained(frontend: Frontend, config: ModelConfig) -> list[Recogniser]:
    """Three fold models of three classes, with scalers of their own."""
    folds = [Recogniser(frontend, config, 3) for _ in range(3)]
    for fold in folds:
        fold.scaler.mean.normal_(std=0.1)
        fold.scaler.std.uniform_(0.5, 2.0)
    return folds
