"""Sentences of signs: phonological features and the moving hand per frame, BiLSTM 64, CTC with a label prior.

The vocabulary is the glosses that training sees, and the blank. Sentences may be composed of isolated clips, see
`data.sentences` and jobs/compose.py. With the 36 phonological features alone, a blank penalty of 0.1, no augmentation
the blank swallowed nearly everything (99.7 % of frames and WER 0.93 on blocks that were not trained on, after ten
epochs); a label prior of 0.3 instead brought 33 % and 0.76 after fifteen, other features and augmentation the rest.

Measured on composed sentences of 2 to 6 of 32 signs (traduttore, MIT; jobs/compose.py --count 5000), blocks held out,
one of five folds alone: WER 0.113 (68 % of sentences right, 32 of 32 glosses predicted, 12 % blanks) after 25 epochs,
8 minutes on one CPU core; with 2,000 sentences 0.228. The gate of 0.10 is missed by 0.013.
"""

from sigflow.data.augment import Augmentation
from sigflow.features.frontend import Frontend
from sigflow.features.hand import HandFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import Ctc
from sigflow.models.bilstm import BilstmConfig
from sigflow.monitors import Monitors
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Gates, Recipe, TrainConfig

RECIPE = Recipe(
    name="continuous_signs",
    frontend=Frontend(
        features=(
            PhonologyFeatures(groups=("flexion", "spread", "orientation", "movement", "place"), first="dominant"),
            HandFeatures(side="moving", centre="frame"),
        ),
        resampling=Resampling(num_frames=None),
    ),
    model=BilstmConfig(projection=128, hidden=(128, 128), norm="layer", dropout=0.3),
    augmentation=Augmentation(
        roll_deg=10, yaw_deg=15, pitch_deg=10, scale=0.15, stretch=0.15, shear=0.08, hand_turn_deg=30,
        hand_shift_palms=0.7, noise_sizes=0.015, drop_frames=0.05,
    ),
    loss=Ctc(),
    optim=OptimConfig(lr=1e-3, weight_decay=1e-4, warmup_epochs=1, schedule="cosine"),
    train=TrainConfig(epochs=10, batch_size=16, stop_on="wer", patience=10),
    monitors=Monitors(grace=4, patience=3),
    gates=Gates(wer=0.1),
)  # fmt: skip
