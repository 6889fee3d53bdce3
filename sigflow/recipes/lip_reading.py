"""Lip reading of single words: lips and jaw as a graph, action units, distances, speech mask; GCN and LSTM.

Three sizes of one network: V2 and V3 as the earlier system had them (3.33 M and 0.83 M parameters with 100 words; it
counted 3.45 M and 0.86 M), V4 (1.84 M) as it was asked for. Not measured on real data: none was at hand.
"""

from sigflow.data.augment import Augmentation
from sigflow.features.frontend import Frontend
from sigflow.features.lips import LipsFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import CrossEntropy
from sigflow.models.graph import GraphConfig
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Gates, Recipe
from sigflow.recipes.space import Choice, LogUniform, Space, Uniform
from sigflow.recipes.ways import TrainConfig

RECIPE = Recipe(
    name="lip_reading",
    frontend=Frontend(features=(LipsFeatures(),), resampling=Resampling(num_frames=30, span="clip")),
    model=GraphConfig(spatial_dim=192, temporal_dim=192, spatial_layers=2, temporal_layers=2, dropout=0.6),
    augmentation=Augmentation(
        mirror=0.5, roll_deg=5.0, scale=0.1, warp=0.1, mask_share=0.2, noise_sizes=0.01, jitter_sizes=0.01,
        time_jitter_steps=0.2,
    ),
    loss=CrossEntropy(smoothing=0.15),
    optim=OptimConfig(lr=7.5e-4, weight_decay=5e-4, warmup_epochs=5, schedule="plateau"),
    train=TrainConfig(epochs=200, batch_size=32, patience=50, min_delta=5e-4),
    gates=Gates(accuracy=0.25, macro_f1=0.15),
)  # fmt: skip
V2 = RECIPE.model_copy(
    update={
        "name": "lip_reading_v2",
        "model": GraphConfig(spatial_dim=256, temporal_dim=256, spatial_layers=3, temporal_layers=2, dropout=0.5),
        "loss": CrossEntropy(smoothing=0.1),
        "optim": OptimConfig(lr=1e-3, weight_decay=2e-4),
    }
)
V3 = RECIPE.model_copy(
    update={
        "name": "lip_reading_v3",
        "model": GraphConfig(spatial_dim=128, temporal_dim=128, spatial_layers=2, temporal_layers=2, dropout=0.7),
        "loss": CrossEntropy(smoothing=0.2),
        "optim": OptimConfig(lr=5e-4, weight_decay=1e-3),
        "train": RECIPE.train.model_copy(update={"patience": 30}),
    }
)
# Of all three sizes.
SPACE: Space = {
    "optim.lr": LogUniform(low=2e-4, high=3e-3),
    "optim.weight_decay": LogUniform(low=1e-5, high=1e-2),
    "model.layer": Choice(values=("gcn", "attention")),
    "model.spatial_dim": Choice(values=(64, 128, 192, 256)),
    "model.spatial_layers": Choice(values=(1, 2, 3)),
    "model.temporal_dim": Choice(values=(64, 128, 192, 256)),
    "model.dropout": Uniform(low=0.3, high=0.7),
    "loss.smoothing": Uniform(low=0.0, high=0.2),
    "augmentation.mask_share": Uniform(low=0.0, high=0.3),
    "augmentation.noise_sizes": Uniform(low=0.0, high=0.03),
}
