"""Sequences of any origin: raw channels, any length, from forty clips on.

A portfolio of a rocket, an inception network and a convolutional transformer, trained one after the other on the same
folds and weighed on each fold's stop part; then the stop part's clips are learnt too. UEA archive, trained on the
training part with `jobs/train.py --folds random:5`, bundled, the bundle measured on the official test part:

  BasicMotions (40 + 40 clips, 100 x 6)           accuracy 1.000, training 110 s, bundle 45 s
  JapaneseVowels (270 + 370 clips, 7 to 29 x 12)  accuracy 0.992, training 224 s, bundle 40 s

(Two CPU cores, a worker each, the starting of Ray included.)
"""

from sigflow.features.frontend import Frontend
from sigflow.features.raw import RawFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import CrossEntropy
from sigflow.models.conv_transformer import ConvTransformerConfig
from sigflow.models.inception import InceptionConfig
from sigflow.models.recogniser import PortfolioConfig
from sigflow.models.rocket import RocketConfig
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Recipe
from sigflow.recipes.space import Choice, LogUniform, Space, Uniform
from sigflow.recipes.ways import TrainConfig

RECIPE = Recipe(
    name="any_sequence",
    frontend=Frontend(
        features=(RawFeatures(),), resampling=Resampling(num_frames=None, max_frames=256, max_gap_s=1e6, span="clip")
    ),
    model=PortfolioConfig(
        members=(
            RocketConfig(),
            InceptionConfig(depth=3, filters=16, bottleneck=16, kernels=(9, 19, 39), dropout=0.2),
            ConvTransformerConfig(dim=64, blocks=1, kernel_size=9),
        )
    ),
    loss=CrossEntropy(smoothing=0.1),
    optim=OptimConfig(lr=2e-3, weight_decay=1e-2, warmup_epochs=2, schedule="cosine"),
    train=TrainConfig(epochs=60, most_steps=2000, batch_size=16, patience=60, refit_epochs=20),
)
# Of the members' sizes nothing: a key of `--set` does not reach into a list.
SPACE: Space = {
    "optim.lr": LogUniform(low=5e-4, high=1e-2),
    "optim.weight_decay": LogUniform(low=1e-4, high=1e-1),
    "loss.smoothing": Uniform(low=0.0, high=0.2),
    "augmentation.noise_sizes": Uniform(low=0.0, high=0.1),
    "augmentation.crop_share": Uniform(low=0.0, high=0.2),
    "augmentation.warp": Uniform(low=0.0, high=0.3),
    "train.batch_size": Choice(values=(8, 16, 32)),
    "train.refit_epochs": Choice(values=(0, 10, 20)),
}
