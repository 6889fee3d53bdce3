"""Isolated gestures of which there are a few clips by a few people, as somebody records them in an afternoon.

The features and the network of `isolated_gestures`, which so few clips teach by heart: of three people one trains a
fold, one picks the epoch, one is tested. So each clip is seen anew in each epoch: turned as another camera or another
person's hand would show it, begun and ended elsewhere, at another tempo.

Measured: rendered hands before the page's camera, 3 people, 3 gestures, 3 clips of each by each, begun at any moment of
the gesture, 2 cores, `python jobs/learn.py --videos CLIPS --out OUT --recipe NAME --force
small_test_fold,too_many_parameters`: 27 of 27 right on people not learnt from, trained in 58 s; isolated_gestures 16 of
27, in 64 s. Recorded again on busy cores: 26 of 27, and one open_close of a fourth person was named swipe_in (55 %).
"""

from sigflow.data.augment import Augmentation
from sigflow.recipes import isolated_gestures
from sigflow.recipes.space import Space, Uniform

RECIPE = isolated_gestures.RECIPE.model_copy(
    update={
        "name": "recorded_gestures",
        "augmentation": Augmentation(
            roll_deg=12, yaw_deg=12, pitch_deg=8, hand_turn_deg=10, scale=0.1, crop_share=0.2, warp=0.3,
            noise_sizes=0.02,
        ),
        "train": isolated_gestures.RECIPE.train.model_copy(update={"epochs": 150, "batch_size": 16}),
    }
)  # fmt: skip
SPACE: Space = {
    **isolated_gestures.SPACE,
    "augmentation.crop_share": Uniform(low=0.0, high=0.3),
    "augmentation.warp": Uniform(low=0.0, high=0.5),
    "augmentation.hand_turn_deg": Uniform(low=0.0, high=20.0),
}
