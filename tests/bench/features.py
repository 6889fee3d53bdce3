"""`make bench BENCH=features`: what features cost. Prints JSON; what each figure means stands beside it.

Everything runs on one thread, as a training worker does, and in turns. A time is CPU time, the least of all turns, so
that it does not count how busy the machine is. The clips have 20 to 40 frames, with gaps.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from sigflow import training
from sigflow.data.augment import Augmentation, augment
from sigflow.data.clips import Clips
from sigflow.features.body import BodyFeatures
from sigflow.features.frontend import Frontend, Sequences, compute_features
from sigflow.features.hand import HandFeatures
from sigflow.features.inputs import Inputs
from sigflow.features.kinematics import Kinematics
from sigflow.features.lips import LipsFeatures
from sigflow.features.phonology import PhonologyFeatures
from sigflow.optim import make_optimiser
from sigflow.recipes.catalogue import find_recipe
from sigflow.topology import INPUT_SHAPES, PARTS
from tests.bench import plain_features as plain

CLIPS = 256
FPS = 25  # at 30, gaps of 15 frames would be as long as the longest that is filled, or not, by rounding
FEW = 16  # of them, where each is timed alone
TURNS = 15
SAME = 1e-3  # of max(1, the column's largest number)
PHONOLOGY = PhonologyFeatures()


class Pipeline(NamedTuple):
    """The same numbers in two ways."""

    frontend: Frontend
    plain: plain.Feature


PIPELINES = {
    "hand_moving": Pipeline(Frontend(features=(HandFeatures(),)), plain.hand_moving),
    "hand_both": Pipeline(Frontend(features=(HandFeatures(side="both"),)), plain.hand_both),
    "body": Pipeline(Frontend(features=(BodyFeatures(),)), plain.body),
    "lips": Pipeline(Frontend(features=(LipsFeatures(),)), plain.lips),
    "phonology": Pipeline(Frontend(features=(PHONOLOGY,)), plain.phonology),
    "phonology_velocity": Pipeline(Frontend(features=(PHONOLOGY,), kinematics=Kinematics()), plain.phonology),
}
# About what a recipe for few clips would use; everything that applies to hands.
AUGMENTATION = Augmentation(
    roll_deg=10, yaw_deg=15, pitch_deg=10, shift_heights=0.1, scale=0.2, stretch=0.1, shear=0.1, hand_shift_palms=0.1,
    mirror=0.3, crop_share=0.1, drop_frames=0.1, warp=0.2, speed=0.2, time_jitter_steps=0.2, noise_sizes=0.01,
    jitter_sizes=0.01, mask_share=0.2, drop_parts=0.1, drop_fingers=0.1, drop_landmarks=0.1,
)  # fmt: skip


def main() -> None:
    """Microseconds per clip of each pipeline, and the share of features in a training step."""
    torch.set_num_threads(1)
    clips = moving_people(CLIPS)
    features = {name: per_clip(clips, name) for name in PIPELINES}
    print(json.dumps({"features": features, "training": training_step(clips)}, indent=1))


def per_clip(clips: Clips, name: str) -> dict[str, float]:
    """Microseconds per clip from landmarks to features at 30 times: the library one by one and 256 at once, numpy."""
    frontend = PIPELINES[name].frontend
    given = only(clips, frontend.parts)
    batch = given.batch(range(CLIPS))
    arrays = [clip_arrays(given, number) for number in range(CLIPS)]
    expected_BNF = np.stack([run_plain(name, *clip) for clip in arrays])
    difference = largest_difference(compute_features(batch, frontend).values.numpy(), expected_BNF)
    assert difference < SAME, f"{name}: the two ways differ by {difference}"

    few = [given.batch([number]) for number in range(FEW)]
    seconds = in_turns(
        {
            "batch_1": lambda: [compute_features(one, frontend) for one in few],
            "batch_256": lambda: compute_features(batch, frontend),
            "numpy": lambda: [run_plain(name, *clip) for clip in arrays[:FEW]],
        }
    )
    each_us = {way: 1e6 * s / (CLIPS if way == "batch_256" else FEW) for way, s in seconds.items()}
    return {
        "numbers_per_frame": frontend.size,
        **{f"{way}_us": round(us, 1) for way, us in each_us.items()},
        "numpy_over_batch_1": round(each_us["numpy"] / each_us["batch_1"], 2),
        "numpy_over_batch_256": round(each_us["numpy"] / each_us["batch_256"], 1),
        "largest_difference": round(difference, 6),
    }


def training_step(clips: Clips) -> dict[str, float]:
    """The smallest recipe, 32 clips: features in batches of 256, as training computes them, over forward to step.

    Without augmentation training computes them only once, before its first epoch; the share is as if each epoch did.
    """
    recipe = find_recipe("isolated_gestures")
    given = only(clips, recipe.parts)
    rows = list(range(CLIPS))
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    sequences = compute_features(given.batch(rows), recipe.frontend)
    target_N = torch.arange(CLIPS) % 8
    model = training.build(recipe, 8).train()
    model.scaler.fit(sequences.values)
    optimiser = make_optimiser(model, recipe.optim)

    def augmented() -> Inputs:
        return augment(given.batch(rows), AUGMENTATION, generator)

    def steps() -> None:
        for part in torch.randperm(CLIPS).split(recipe.train.batch_size):
            logits_BK = model.classify(Sequences(sequences.values[part], sequences.lengths[part]))
            optimiser.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(logits_BK, target_N[part]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optim.clip_norm)
            optimiser.step()

    seconds = in_turns(
        {
            "features": lambda: compute_features(given.batch(rows), recipe.frontend),
            "augmentation": augmented,
            "augmented_features": lambda: compute_features(augmented(), recipe.frontend),
            "step": steps,
        }
    )
    ms = {what: 1e3 * s * recipe.train.batch_size / CLIPS for what, s in seconds.items()}
    return {
        **{f"{what}_ms": round(value, 2) for what, value in ms.items()},  # the first three with gathering the batch
        "features_over_step": round(ms["features"] / ms["step"], 3),
        "augmented_features_over_step": round(ms["augmented_features"] / ms["step"], 3),
    }


def in_turns(ways: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each way: the least of its turns, after one to warm up."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(1 + TURNS):
        for name, work in ways.items():
            start = time.process_time()
            work()
            if turn:
                best[name] = min(best[name], time.process_time() - start)
    return best


def run_plain(name: str, parts: plain.Parts, time_s_T: np.ndarray) -> np.ndarray:
    pipeline = PIPELINES[name]
    values_NF, time_s_N = plain.resample(pipeline.plain(parts, time_s_T), time_s_T, pipeline.frontend.groups)
    if pipeline.frontend.kinematics.velocity:
        values_NF = np.concatenate([values_NF, plain.velocity(values_NF, time_s_N)], axis=1)
    return values_NF


def largest_difference(given_BNF: np.ndarray, expected_BNF: np.ndarray) -> float:
    """In units of max(1, the column's largest number): velocities are large, and float32 has seven digits."""
    assert np.array_equal(np.isnan(given_BNF), np.isnan(expected_BNF)), "other frames are missing"
    scale_F = np.nanmax(np.abs(expected_BNF), axis=(0, 1), initial=1)
    return float(np.nanmax(np.abs(given_BNF - expected_BNF) / scale_F))


def only(clips: Clips, parts: tuple[str, ...]) -> Clips:
    return Clips(
        clips.table, clips.offsets, clips.time_s_S, clips.aspect_N, {part: clips.parts[part] for part in parts}
    )


def clip_arrays(clips: Clips, number: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Landmarks of one clip in units of the height, and its times."""
    inputs: Inputs = clips.batch([number])
    aspect = float(inputs.aspect[0])
    parts = {
        part: values[0].numpy() * (np.array([aspect, 1, aspect], np.float32) if part in PARTS else 1)
        for part, values in inputs.parts.items()
    }
    return parts, inputs.time_s[0].numpy().astype(np.float64)


def moving_people(count: int) -> Clips:
    """Points that swing about places of their own; in each clip, each part is missing for a while, and now and then."""
    rng = np.random.default_rng(0)
    lengths_N = rng.integers(20, 41, count)
    time_s_S = np.concatenate([np.arange(length) / FPS for length in lengths_N])
    clip_S = np.repeat(np.arange(count), lengths_N)
    parts = {}
    for part, shape in INPUT_SHAPES.items():
        turns_N = rng.uniform(0.3, 2.0, (count, *shape))[clip_S] * time_s_S.reshape(-1, *[1] * len(shape))
        values = rng.uniform(0.2, 0.8, shape) + 0.1 * np.sin(2 * np.pi * (turns_N + rng.uniform(0, 1, shape)))
        start_N, gap_N = rng.uniform(0, 1.2, count), rng.uniform(0, 0.7, count)
        lost_S = (time_s_S >= start_N[clip_S]) & (time_s_S < (start_N + gap_N)[clip_S])
        values[lost_S | (rng.random(len(time_s_S)) < 0.05)] = np.nan
        parts[part] = torch.from_numpy(values.astype(np.float32))
    return Clips(
        pa.table({}),
        torch.from_numpy(np.concatenate([[0], np.cumsum(lengths_N)])),
        torch.from_numpy(time_s_S.astype(np.float32)),
        torch.from_numpy(rng.choice([4 / 3, 16 / 9], count).astype(np.float32)),
        parts,
    )


if __name__ == "__main__":
    main()
