"""Sequences of any origin: raw channels, any length, from forty clips on.

A portfolio of a rocket, an inception network and a convolutional transformer, trained one after the other on the same
folds and weighed on each fold's stop part. UEA archive, trained on the training part, measured on the official test
part, accuracy of the averaged fold models; `--folds random:5` leaves each of them 60 % of the clips to train on:

  BasicMotions (40 + 40 clips, 100 x 6)           rocket 1.000 (5 folds), all three 1.000 (2 of the 5 folds)
  JapaneseVowels (270 + 370 clips, 7 to 29 x 12)  rocket 0.989 (5 folds), all three 0.992 (2 of the 5 folds)

One fold took 16 and 36 CPU seconds on a busy core. Measured with this recipe's folds, models, schedule and weighing in
a loop of its own, not through `jobs/train.py` and a bundle.
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
from sigflow.recipes.recipe import Recipe, TrainConfig

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
