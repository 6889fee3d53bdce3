"""The blank collapse of an earlier system, made on purpose, and each remedy in turn.

20 training and 10 stop sentences of 2 glosses each, 36 phonological features, BiLSTM 128 x 2, CTC over 2,001 outputs:
59,000 parameters a clip. Tested on 400 such sentences of other people. `--data` is an ingested data set of labelled
signs with subjects, of which the sentences are composed: python -m tests.bench.collapse --data landmarks
"""

import argparse

import numpy as np
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold
from sigflow.data.sentences import compose
from sigflow.data.targets import vocabulary, words
from sigflow.features.frontend import Frontend
from sigflow.features.phonology import PhonologyFeatures
from sigflow.features.resample import Resampling
from sigflow.losses import Ctc
from sigflow.models.bilstm import BilstmConfig
from sigflow.monitors import Monitors
from sigflow.optim import OptimConfig
from sigflow.recipes.recipe import Recipe, override
from sigflow.recipes.ways import TrainConfig
from sigflow.storage import locate
from sigflow.training import fit

OUTPUTS = 2001
EPOCHS = 40
EARLIER = Recipe(
    name="earlier_system",
    frontend=Frontend(features=(PhonologyFeatures(),), resampling=Resampling(num_frames=None)),
    model=BilstmConfig(projection=128, hidden=(128, 128), norm="layer", dropout=0.3),
    loss=Ctc(),
    optim=OptimConfig(lr=1e-3),
    train=TrainConfig(epochs=EPOCHS, batch_size=4, stop_on="loss", patience=EPOCHS),
    monitors=Monitors(blank="warn", collapse="warn", grace=5, patience=5),
)
SMALL = 'model={"kind": "bilstm", "hidden": [64], "dropout": 0.3}'
AUGMENTED = 'augmentation={"roll_deg": 10, "scale": 0.15, "hand_turn_deg": 20, "noise_sizes": 0.01, "drop_frames": 0.1}'
# What was asked for, one by one: words, settings, whether the outputs are the glosses that are seen, training clips.
REMEDIES: tuple[tuple[str, tuple[str, ...], bool, int], ...] = (
    ("as it was", (), False, 20),
    ("blank penalty 0.1", ("loss.blank_penalty=0.1",), False, 20),
    ("blank penalty 5", ("loss.blank_penalty=5",), False, 20),
    ("label prior 0.3", ("loss.label_prior=0.3",), False, 20),
    ("entropy 0.5", ("loss.entropy=0.5",), False, 20),
    ("small network: BiLSTM 64", (SMALL,), False, 20),
    ("outputs: the glosses seen, and blank", (), True, 20),
    ("augmentation", (AUGMENTED,), False, 20),
    ("head for phonology", ("auxiliary.phonology=0.5",), False, 20),
    ("dropout 0.5, weight decay 1e-4, plateau", ("model.dropout=0.5", "optim.schedule=plateau"), False, 20),
    ("200 sentences", (), False, 200),
    ("small, glosses seen, label prior 0.3", (SMALL, "loss.label_prior=0.3"), True, 20),
    ("the same with 200 sentences", (SMALL, "loss.label_prior=0.3"), True, 200),
    ("the same with 1,500 sentences", (SMALL, "loss.label_prior=0.3"), True, 1500),
)


def main() -> None:
    """Print the table, one row when it is measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    clips = compose(load_clips(locate(parser.parse_args().data), EARLIER.parts), 4000, glosses=(2, 2))
    print("| remedy | parameters a clip | blank frames | glosses said, of 32 | WER | alarm |")
    print("|---|---|---|---|---|---|")
    for remedy, settings, seen_only, count in REMEDIES:
        recipe = override(EARLIER, settings)
        names = vocabulary(words(clips, sentences=True), blank=True)
        labels = (*names, *(() if seen_only else (f"unused {k}" for k in range(OUTPUTS - len(names)))))
        torch.set_num_threads(1)
        result = fit(recipe, clips, labels, parts(clips, count))
        size = sum(weight.numel() for name, weight in result.weights.items() if not name.startswith("auxiliary"))
        metrics = result.metrics
        alarms = sorted({alarm.code for alarm in result.alarms})
        columns = (
            remedy, f"{size / count:,.0f}", f"{metrics['blank_ratio']:.1%}", metrics["distinct_predicted"],
            f"{metrics['wer']:.2f}", ", ".join(alarms) or "-",
        )  # fmt: skip
        print("| " + " | ".join(map(str, columns)) + " |", flush=True)


def parts(clips: Clips, count: int) -> Fold:
    """`count` sentences to train on and 10 to stop by, of some people; 400 of the others to test."""
    subjects = np.array(clips.column("subject"))
    known = np.flatnonzero(np.isin(subjects, np.unique(subjects)[::2]))
    others = np.setdiff1d(np.arange(len(subjects)), known)
    return Fold(0, known[10 : 10 + count], known[:10], others[:400])


if __name__ == "__main__":
    main()
