"""Sentences of signs: 36 phonological features per frame, BiLSTM 64, CTC with a blank penalty.

The vocabulary is the glosses that training sees, and the blank. Sentences may be composed of isolated clips, see
`data.sentences`.
"""

from sigflow.features.frontend import Frontend
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import Ctc
from sigflow.models.bilstm import BilstmConfig
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Gates, Recipe, TrainConfig

RECIPE = Recipe(
    name="continuous_signs",
    frontend=Frontend(features=(PhonologyFeatures(),), resampling=Resampling(num_frames=None)),
    model=BilstmConfig(hidden=(64,), dropout=0.3),
    loss=Ctc(blank_penalty=0.1),
    optim=OptimConfig(lr=3e-3, weight_decay=1e-4, warmup_epochs=1, schedule="cosine"),
    train=TrainConfig(epochs=30, batch_size=32, stop_on="wer", patience=10),
    gates=Gates(wer=0.1),
)
