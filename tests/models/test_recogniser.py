"""If these fail, training and serving see different features, or an answer depends on who shares the batch."""

import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.features.frontend import Frontend, compute_features
from sigflow.features.hand import HandFeatures
from sigflow.features.inputs import Inputs
from sigflow.features.resample import Resampling
from sigflow.models.lstm import LstmConfig
from sigflow.models.recogniser import Recogniser
from sigflow.storage import Location

FRONTEND = Frontend(features=(HandFeatures(),), resampling=Resampling(num_frames=12))


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, HandFeatures().parts)


@pytest.fixture(scope="module")
def recogniser(clips: Clips) -> Recogniser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Recogniser(FRONTEND, LstmConfig(hidden=(8,), dense=6, dropout=0.5), 3)
    model.scaler.fit(compute_features(clips.batch(range(60)), FRONTEND).values)
    return model.eval()


def test_landmarks_and_precomputed_features_give_the_same_answer(recogniser: Recogniser, clips: Clips) -> None:
    inputs = clips.batch([0, 20, 40])
    sequences = compute_features(inputs, FRONTEND)
    assert sequences.values.shape == (3, 12, 63)
    assert sequences.lengths.tolist() == [12, 12, 12]
    assert torch.equal(recogniser(inputs), recogniser.classify(sequences))


def test_the_batch_changes_no_feature_at_all_and_no_answer_that_matters(recogniser: Recogniser, clips: Clips) -> None:
    index = list(range(0, 60, 7))
    inputs = clips.batch(index)
    features = compute_features(inputs, FRONTEND).values
    logits = recogniser(inputs)
    for row, i in enumerate(index):
        alone = clips.batch([i])
        single = compute_features(alone, FRONTEND).values
        assert torch.equal(features[row].nan_to_num(99.0), single[0].nan_to_num(99.0))
        assert torch.allclose(logits[row], recogniser(alone)[0], atol=1e-5)


def test_padding_changes_no_answer_at_all(recogniser: Recogniser, clips: Clips) -> None:
    inputs = clips.batch([0, 1, 2, 3])
    nan = float("nan")
    padded = Inputs(
        {
            part: torch.nn.functional.pad(points, (0, 0, 0, 0, 0, 31), value=nan)
            for part, points in inputs.parts.items()
        },
        torch.nn.functional.pad(inputs.time_s, (0, 31), value=nan),
        inputs.aspect,
        inputs.lengths,
    )
    assert torch.equal(recogniser(padded), recogniser(inputs))


def test_a_clip_without_hands_gets_a_finite_answer(recogniser: Recogniser, clips: Clips) -> None:
    inputs = clips.batch([0])
    empty = inputs._replace(
        parts={part: torch.full_like(points, float("nan")) for part, points in inputs.parts.items()}
    )
    assert recogniser(empty).isfinite().all()


def test_saved_weights_bring_the_scaler_along(recogniser: Recogniser, clips: Clips) -> None:
    again = Recogniser(FRONTEND, LstmConfig(hidden=(8,), dense=6), 3).eval()
    again.load_state_dict(recogniser.state_dict())
    inputs = clips.batch([5, 6])
    assert torch.equal(again(inputs), recogniser(inputs))
