"""Falls against other activities: 60 frames of 6 body signals, LSTM 64 -> Dense 32 -> one logit.

The requirement's network, 20,289 parameters in Keras' counting, with its focal loss, class weights and gates. Frames in
which nobody was found have `presence` 0 and the other signals at the training mean. Not measured on real data: the nine
public clips of two subjects that were at hand are too few for a figure.
"""

from sigflow.data.augment import Augmentation
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import Frontend
from sigflow.features.resample import Resampling
from sigflow.losses import Focal
from sigflow.models.lstm import LstmConfig
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Gates, Recipe
from sigflow.recipes.space import Choice, LogUniform, Space, Uniform
from sigflow.recipes.ways import TrainConfig

RECIPE = Recipe(
    name="fall_detection",
    frontend=Frontend(features=(BodyFeatures(),), resampling=Resampling(num_frames=60, span="clip")),
    model=LstmConfig(hidden=(64,), dense=32, dropout=0.3, single_logit=True),
    augmentation=Augmentation(mirror=0.5, warp=0.1, noise_sizes=0.02, drop_frames=0.1, scale=0.1, yaw_deg=15.0),
    loss=Focal(activation="sigmoid", alpha=0.25, gamma=2.0, class_weights=True),
    optim=OptimConfig(kind="adam", lr=1e-3, weight_decay=0.0),
    train=TrainConfig(epochs=100, batch_size=32, stop_on="f1", patience=10),
    gates=Gates(precision=0.9, recall=0.9, f1=0.9, roc_auc=0.9),  # of the second label: Fall, after ADL
)
SPACE: Space = {
    "optim.lr": LogUniform(low=3e-4, high=1e-2),
    "optim.weight_decay": Uniform(low=0.0, high=1e-2),
    "model.hidden": Choice(values=((32,), (64,), (64, 32))),
    "model.dense": Choice(values=(16, 32, 64)),
    "model.dropout": Uniform(low=0.0, high=0.5),
    "model.pooling": Choice(values=("last", "attention")),
    "loss.gamma": Uniform(low=0.0, high=4.0),
    "loss.alpha": Uniform(low=0.25, high=0.75),
    "augmentation.noise_sizes": Uniform(low=0.0, high=0.05),
    "train.batch_size": Choice(values=(16, 32, 64)),
}
