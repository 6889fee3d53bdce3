"""If these fail, serving needs torch, or a clip's answer depends on the clips that were asked about with it."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sigflow.bundle import read_bundle
from sigflow.data.clips import Clips, load_clips
from sigflow.ensemble import average
from sigflow.export import ensemble_model
from sigflow.predictor import ClipInput, Predictor, batch_inputs
from sigflow.storage import Location

HANDS = ("left_hand", "right_hand")


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, HANDS)


@pytest.fixture(scope="module")
def inputs(clips: Clips) -> list[ClipInput]:
    rows = [slice(int(a), int(b)) for a, b in zip(clips.offsets[:-1], clips.offsets[1:], strict=True)]
    return [
        ClipInput({part: points[frames].numpy() for part, points in clips.parts.items()},
                  clips.time_s_S[frames].numpy(), float(aspect))
        for frames, aspect in zip(rows, clips.aspect_N, strict=True)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def predictor(exported_bundle: Location) -> Predictor:
    return Predictor(read_bundle(exported_bundle))


def test_a_serving_process_never_loads_torch_or_ray() -> None:
    code = (
        "import sys, sigflow.predictor, serve.api\n"
        "assert 'onnxruntime' in sys.modules\n"
        "assert not {'torch', 'ray', 'mediapipe', 'sklearn'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_answers_are_those_of_the_trained_models(
    predictor: Predictor, inputs: list[ClipInput], clips: Clips, trained_run: Location
) -> None:
    model = ensemble_model(average([trained_run]))
    with torch.no_grad():
        expected = model(*clips.batch(range(60)).flat()).numpy()
    assert np.allclose(predictor.predict(inputs), expected, atol=1e-5)


def test_gestures_are_recognised(predictor: Predictor, inputs: list[ClipInput], clips: Clips) -> None:
    named = [predictor.manifest.labels[k] for k in np.argmax(predictor.predict(inputs), 1)]
    assert np.mean([name == label for name, label in zip(named, clips.column("label"), strict=True)]) > 0.8


def test_the_clips_that_are_asked_about_together_never_change_an_answer(
    predictor: Predictor, inputs: list[ClipInput]
) -> None:
    together = predictor.predict(inputs)
    assert len({len(clip.time_s) for clip in inputs}) > 1
    assert np.allclose(np.concatenate([predictor.predict([clip]) for clip in inputs]), together, atol=1e-6)
    assert np.allclose(predictor.predict(inputs[::-1])[::-1], together, atol=1e-6)


def test_missing_frames_at_the_end_never_change_an_answer(predictor: Predictor, inputs: list[ClipInput]) -> None:
    for clip in inputs[::15]:
        parts = {part: np.concatenate([points, np.full((50, 21, 3), np.nan, np.float32)])
                 for part, points in clip.parts.items()}  # fmt: skip
        later = np.concatenate([clip.time_s, clip.time_s[-1] + np.arange(1, 51, dtype=np.float32)])
        padded = ClipInput(parts, later, clip.aspect)
        assert np.allclose(predictor.predict([padded]), predictor.predict([clip]), atol=1e-6)


def test_a_part_that_is_left_out_is_a_part_that_was_not_seen(predictor: Predictor, inputs: list[ClipInput]) -> None:
    clip = next(clip for clip in inputs if np.isnan(clip.parts["left_hand"]).all())
    short = ClipInput({"right_hand": clip.parts["right_hand"]}, clip.time_s, clip.aspect)
    assert np.array_equal(predictor.predict([short]), predictor.predict([clip]))


def test_a_clip_without_hands_gets_finite_probabilities(predictor: Predictor) -> None:
    (probs,) = predictor.predict([ClipInput({}, np.arange(3, dtype=np.float32), 1.0)])
    assert np.isfinite(probs).all()
    assert probs.sum() == pytest.approx(1.0, abs=1e-5)


def test_found_is_the_share_of_frames_with_any_hand() -> None:
    left, right = np.full((2, 4, 21, 3), np.nan, np.float32)
    left[0], right[[0, 2]] = 0.5, 0.5
    times = np.arange(4, dtype=np.float32)
    assert ClipInput({"left_hand": left, "right_hand": right}, times, 1.0).found == 0.5
    assert ClipInput({"left_hand": left}, times, 1.0).found == 0.25
    assert ClipInput({}, times, 1.0).found == 0.0


def test_many_threads_get_the_answers_of_one(predictor: Predictor, inputs: list[ClipInput]) -> None:
    expected = predictor.predict(inputs)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda clip: predictor.predict([clip])[0], inputs * 3))
    assert np.allclose(answers, np.tile(expected, (3, 1)), atol=1e-6)


def test_clips_of_a_batch_are_padded_with_missing(inputs: list[ClipInput]) -> None:
    pair = sorted(inputs[:20], key=lambda clip: len(clip.time_s))[::19]
    feed = batch_inputs(pair, dict.fromkeys(HANDS, (21, 3)))
    short, long = (len(clip.time_s) for clip in pair)
    assert feed["right_hand"].shape == (2, long, 21, 3)
    assert feed["lengths"].tolist() == [short, long]
    for name in (*HANDS, "time_s"):
        assert feed[name].dtype == np.float32
        assert np.isnan(feed[name][0, short:]).all()
