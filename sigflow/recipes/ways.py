"""How a fold is trained: how long, on what first, and what else the network is taught.

Measured with `python -m tests.bench.ways` on 33 signs (traduttore, MIT; unified_signs, 12 epochs with labels, 48 where
there are few): macro-F1 of the test parts of two folds, whose few clips of a rare class are worth 0.1 of it.

| | without | with |
|---|---|---|
| averaged weights (EMA 0.99) | 0.875, 0.986 | 0.873, 0.986 |
| curriculum of 4, 16, all words | 0.875, 0.986 | 0.985, 0.924 |
| masked pre-training, all labels | 0.875 | 0.982 |
| masked pre-training, 3 labels a class, the other clips without | 0.526, 0.628 | 0.567, 0.692 |
| the same, then the quantiser | 0.526, 0.628 | 0.783, 0.742 |
| the same, 10 labels a class | 0.858 | 0.858 |
| other labels, 3 clips each: fine-tuned from half of the labels | 0.713, 0.741 | 1.000, 0.739 |
| 192 units: widened from 128 over 160 (128 alone: 0.986) | 0.976 | 0.988 |

So the quantiser is worth much where labels are scarce and nothing where there are ten; a curriculum and averaged
weights show no gain that is larger than what folds differ by.
"""

from typing import Literal

from pydantic import Field, PositiveInt

from sigflow.config import Config
from sigflow.features.phonology import PhonologyFeatures


class TrainConfig(Config):
    """How long a fold is trained, and what ends it."""

    epochs: int = Field(default=200, ge=1)
    most_steps: int | None = Field(default=None, ge=1)  # fewer epochs where there are so many clips that it takes more
    batch_size: int = Field(default=32, ge=1)
    # Batches of similar lengths, out of the clips of so many batches; 1: of clips as they come. Only for clips that
    # keep their lengths (frontend.resampling.num_frames null).
    bucket_batches: int = Field(default=1, ge=1)
    # What the network computes with while it is trained; its weights are float32 in any case.
    precision: Literal["fp32", "bf16"] = "fp32"
    stop_on: Literal["loss", "accuracy", "macro_f1", "f1", "wer"] = (
        "loss"  # of the stop part; its best epoch's weights are kept
    )
    patience: int = Field(default=30, ge=1)  # epochs without improvement
    min_delta: float = Field(default=0.0, ge=0)
    # Then so many, and no more than a third of the epochs planned, on train and stop part together, from the best
    # weights, at half the rate falling to 0. Nothing is chosen any more by then.
    refit_epochs: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**31)

    def epochs_for(self, clips: int) -> int:
        """Epochs over so many training clips."""
        steps = -(-clips // self.batch_size)
        return self.epochs if self.most_steps is None else min(self.epochs, -(-self.most_steps // steps))


class Auxiliary(Config):
    """What else each frame is asked for while training (multi-task learning): weights of those losses, 0: not at all.

    `phonology`: the phonological features of the frame, standardised. `segmentation`: whether a sign is being made, and
    whether it begins; for sentences whose glosses have times (composed ones have). Exported graphs lack both.
    """

    phonology: float = Field(default=0.0, ge=0)
    segmentation: float = Field(default=0.0, ge=0)

    @property
    def heads(self) -> dict[str, int]:
        """Outputs of each head."""
        sizes = {"phonology": PhonologyFeatures().size, "segmentation": 2}
        return {name: size for name, size in sizes.items() if getattr(self, name)}


class Curriculum(Config):
    """Few words first: lessons over growing vocabularies, then the training proper over all words.

    Each lesson has the clips whose words are all among the most frequent ones, as many as `vocabularies` say in turn.
    It ends at `accuracy` on such clips of the stop part (a sentence: in full), or after `epochs`. The learning rate's
    schedule and all counts of epochs begin with the training proper. Source: Bengio et al. 2009, Curriculum learning.
    """

    vocabularies: tuple[PositiveInt, ...] = ()
    accuracy: float = Field(default=0.8, gt=0, le=1)
    epochs: int = Field(default=10, ge=1)


class Pretraining(Config):
    """What the network learns of a fold's training clips before it hears a label; of unlabelled clips too.

    First to fill in the features of masked frames for `masked_epochs`; then, for `quantiser_epochs`, to name what is
    done in them: handshape, orientation, place and movement of each hand as one of `codes` phonological units, which
    k-means finds. Source: masked units as in HuBERT, Hsu et al. 2021, arXiv:2106.07447.
    """

    masked_epochs: int = Field(default=0, ge=0)
    quantiser_epochs: int = Field(default=0, ge=0)
    share: float = Field(default=0.4, gt=0, lt=1)  # of a clip's frames that are masked, about
    span: int = Field(default=5, ge=1)  # frames that are masked together
    codes: int = Field(default=32, ge=2)
    lr: float = Field(default=1e-3, gt=0)

    @property
    def epochs(self) -> int:
        """Of both."""
        return self.masked_epochs + self.quantiser_epochs
