"""Isolated signs of people who were not trained on: handshape, palm and place of both hands, BiLSTM.

What recordings have in common is the hand itself, so that its shape and the palm's orientation in the body's frame are
read, and where the hand is only in the picture's plane; the dominant hand comes first, whichever it is. Strong
augmentation turns and shifts each hand by itself: people hold the same sign differently.
"""

from sigflow.data.augment import Augmentation
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import CrossEntropy
from sigflow.models.bilstm import BilstmConfig
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Gates, Recipe, TrainConfig

RECIPE = Recipe(
    name="unified_signs",
    frontend=Frontend(
        features=(
            PhonologyFeatures(groups=("flexion", "spread", "orientation", "place"), first="dominant"),
            HandFeatures(side="moving", centre="frame"),
        ),
        resampling=Resampling(num_frames=20),
    ),
    model=BilstmConfig(per_frame=False, hidden=(64,), dropout=0.3),
    augmentation=Augmentation(
        roll_deg=10, yaw_deg=15, pitch_deg=10, scale=0.15, stretch=0.15, shear=0.08, hand_turn_deg=30,
        hand_shift_palms=0.7, noise_sizes=0.015, speed=0.3, drop_frames=0.1,
    ),
    loss=CrossEntropy(smoothing=0.05),
    optim=OptimConfig(lr=3e-3, weight_decay=1e-2, warmup_epochs=1, schedule="cosine"),
    train=TrainConfig(epochs=40, batch_size=64, patience=40),
    gates=Gates(macro_f1=0.8),
)  # fmt: skip
