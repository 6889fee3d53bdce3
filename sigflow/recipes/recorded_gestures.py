"""Isolated gestures of which there are a few clips by a few people, as somebody records them in an afternoon.

The features and the network of `isolated_gestures`, which so few clips teach by heart: of three people one trains a
fold, one picks the epoch, one is tested. So each clip is seen anew in each epoch: turned as another camera or another
person's hand would show it, begun and ended elsewhere, at another tempo. And whoever picked the epoch is learnt from
afterwards, since a network that knows one person alone is sure of things that are that person's.

Measured: rendered hands before the page's camera, 3 people, 3 gestures, 3 clips of each by each, begun at any moment of
the gesture, recorded on busy cores, 2 cores, `python jobs/learn.py --videos CLIPS --out OUT --force
small_test_fold,too_many_parameters`: 27 of 27 right on people not learnt from, trained in 64 s; of two more people,
`jobs/evaluate.py` on 30 clips, 30. With `--set train.refit_epochs=0` 26 of 27, and 25 of 30: two of the
three networks took every open_close of one of them for swipe_in. isolated_gestures had 16 of 27 of such clips.
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
        "train": isolated_gestures.RECIPE.train.model_copy(
            update={"epochs": 150, "batch_size": 16, "refit_epochs": 50}
        ),
    }
)  # fmt: skip
SPACE: Space = {
    **isolated_gestures.SPACE,
    "augmentation.crop_share": Uniform(low=0.0, high=0.3),
    "augmentation.warp": Uniform(low=0.0, high=0.5),
    "augmentation.hand_turn_deg": Uniform(low=0.0, high=20.0),
}
