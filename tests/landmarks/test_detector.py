"""If these fail, landmarks lie beside the hands, on the wrong side, or depend on the video that came before."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from matplotlib import cbook

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import Detector, DetectorOptions, FrameDetections
from sigflow.landmarks.hands import SIDES, assign_sides
from sigflow.landmarks.synthetic import SUBJECTS, RenderedClip, Subject, render_clip, render_scene, write_video
from sigflow.landmarks.synthetic.pose import HandPose
from sigflow.landmarks.video import Sampling, read_frames
from sigflow.topology import MODELS, PARTS

ADA, BO = SUBJECTS[:2]
NUM_FRAMES = 12


@pytest.fixture(scope="module")
def models() -> Mapping[str, Path]:
    return {model: model_path(model) for model in MODELS}


def written(folder: Path, clip: RenderedClip, *, mirror: bool = False) -> Path:
    path = folder / "clip.mp4"
    frames = clip.frames_THWC[:, :, ::-1] if mirror else clip.frames_THWC
    write_video(path, np.ascontiguousarray(frames), clip.fps)
    return path


def detect(path: Path, options: DetectorOptions, models: Mapping[str, Path]) -> list[FrameDetections]:
    with Detector(options, models) as detector:
        for frame in read_frames(str(path), options.sampling, mirrored=options.mirrored):
            detector.add(frame.rgb_HWC, frame.time_ms)
        return detector.finish()


def sides(detections: list[FrameDetections]) -> list[set[str]]:
    return [set(given) for given in assign_sides([frame.hands for frame in detections])]


@pytest.mark.parametrize(("subject", "side"), [(ADA, "right_hand"), (BO, "left_hand")], ids=["ada", "bo"])
def test_the_subjects_own_hand_is_found_where_it_is(
    subject: Subject, side: str, models: Mapping[str, Path], tmp_path: Path
) -> None:
    clip = render_clip(subject, "victory", 0, num_frames=NUM_FRAMES)
    found = assign_sides([frame.hands for frame in detect(written(tmp_path, clip), DetectorOptions(), models)])
    assert [set(given) for given in found] == [{side}] * NUM_FRAMES
    size = np.array([subject.camera.width, subject.camera.height])
    image_TP2 = np.stack([given[side].image_P3[:, :2] for given in found])
    error_px = np.linalg.norm((image_TP2 - clip.landmarks_TNP2[:, 0]) * size, axis=-1)
    assert error_px.mean() < 0.08 * subject.camera.hand_px
    world_m = np.stack([given[side].world_P3 for given in found])
    assert 0.05 < np.ptp(world_m[..., :2], axis=1).max() < 0.3  # a hand, in metres
    assert all(0.5 < given[side].score <= 1 for given in found)


def test_two_hands_are_both_found_each_on_its_side(models: Mapping[str, Path], tmp_path: Path) -> None:
    # Seen from the camera, the subject's right hand is on the left; a left hand is the right one's mirror image.
    right, left = (HandPose(position=(-0.75, -0.5, 0.0), left=side) for side in (False, True))
    clip = render_scene([[right, left]] * 6, [ADA.look, ADA.look], ADA.camera, fps=25)
    found = assign_sides([frame.hands for frame in detect(written(tmp_path, clip), DetectorOptions(), models)])
    assert [set(given) for given in found] == [{"left_hand", "right_hand"}] * 6
    for number, side in enumerate(("right_hand", "left_hand")):
        image_P2 = found[-1][side].image_P3[:, :2]
        assert np.abs(image_P2 - clip.landmarks_TNP2[-1, number]).mean() < 0.04


def test_a_mirrored_video_gives_the_landmarks_of_the_unmirrored(models: Mapping[str, Path], tmp_path: Path) -> None:
    clip = render_clip(BO, "victory", 0, num_frames=NUM_FRAMES)
    selfie = written(tmp_path, clip, mirror=True)
    assert sides(detect(selfie, DetectorOptions(), models)) == [{"right_hand"}] * NUM_FRAMES  # deceived
    found = assign_sides([frame.hands for frame in detect(selfie, DetectorOptions(mirrored=True), models)])
    assert [set(given) for given in found] == [{"left_hand"}] * NUM_FRAMES
    image_TP2 = np.stack([given["left_hand"].image_P3[:, :2] for given in found])
    assert np.abs(image_TP2 - clip.landmarks_TNP2[:, 0]).mean() < 0.03


def test_a_video_gives_the_same_landmarks_whatever_came_before(models: Mapping[str, Path], tmp_path: Path) -> None:
    video = written(tmp_path, render_clip(ADA, "open_close", 0, num_frames=NUM_FRAMES))
    other = written(tmp_path / "other", render_clip(BO, "wave", 0, num_frames=NUM_FRAMES))
    first = detect(video, DetectorOptions(), models)
    detect(other, DetectorOptions(), models)
    again = detect(video, DetectorOptions(), models)
    assert any(frame.hands for frame in first)
    for one, two in zip(first, again, strict=True):
        for hand, same in zip(one.hands, two.hands, strict=True):
            np.testing.assert_array_equal(hand.image_P3, same.image_P3)
            np.testing.assert_array_equal(hand.world_P3, same.world_P3)
            assert (hand.handedness, hand.score) == (same.handedness, same.score)


def test_nothing_is_seen_where_nothing_is(models: Mapping[str, Path]) -> None:
    with Detector(DetectorOptions(models=("hands", "pose", "face")), models) as detector:
        detector.add(np.full((120, 160, 3), 128, np.uint8), 0.0)
        assert detector.finish() == [FrameDetections()]


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A person facing the camera, both shoulders in the picture; it comes with Matplotlib."""
    with av.open(str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_a_persons_face_and_pose_are_found(models: Mapping[str, Path], portrait: np.ndarray) -> None:
    with Detector(DetectorOptions(models=("pose", "face")), models) as detector:
        detector.add(portrait, 0.0)
        (vectors,) = [frame.vectors for frame in detector.finish()]
    assert {name: vector.shape for name, vector in vectors.items()} == {
        "pose": (99,), "pose_world": (99,), "pose_visibility": (33,), "pose_presence": (33,),
        "face": (3 * PARTS["face"].num_points,), "blendshapes": (52,),
    }  # fmt: skip
    pose_P3, face_P3 = vectors["pose"].reshape(-1, 3), vectors["face"].reshape(-1, 3)
    assert np.abs(pose_P3[0, :2] - face_P3[1, :2]).max() < 0.06  # both models' noses
    assert pose_P3[11, 0] > pose_P3[12, 0]  # the subject's own left shoulder is on the picture's right
    assert vectors["pose_visibility"][11] > 0.9
    assert vectors["pose_visibility"][27] < 0.5  # the ankles are outside
    assert np.all((vectors["blendshapes"] >= 0) & (vectors["blendshapes"] <= 1))


def test_a_damaged_model_file_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    damaged = tmp_path / "hand_landmarker.task"
    damaged.write_bytes(b"not a model")
    with pytest.raises(RuntimeError, match=r".+"):
        Detector(DetectorOptions(), {"hands": damaged})


def test_parts_are_those_of_the_models_in_a_fixed_order() -> None:
    assert DetectorOptions().parts == ("left_hand", "right_hand")
    assert DetectorOptions(models=("face", "hands")).parts == ("left_hand", "right_hand", "face")


@pytest.mark.parametrize(
    "change",
    [
        lambda options: options.model_copy(update={"mirrored": True}),
        lambda options: options.model_copy(update={"models": ("hands", "pose")}),
        lambda options: options.model_copy(update={"sampling": Sampling(every=2)}),
        lambda options: options.model_copy(update={"min_tracking_confidence": 0.7}),
    ],
    ids=["mirrored", "models", "sampling", "confidence"],
)
def test_landmarks_made_otherwise_have_another_fingerprint(
    change: Callable[[DetectorOptions], DetectorOptions],
) -> None:
    options = DetectorOptions()
    assert change(options).fingerprint != options.fingerprint


def test_the_fingerprint_says_what_made_the_landmarks() -> None:
    one, other = DetectorOptions(models=("hands", "pose")), DetectorOptions(models=("pose", "hands"))
    assert one.fingerprint == other.fingerprint
    made_with: dict[str, Any] = json.loads(one.fingerprint)
    assert set(made_with) == {"mediapipe", "models", "mode", "options"}
    assert set(made_with["models"]) == {"hands", "pose"}


def test_mediapipes_words_are_known() -> None:
    assert SIDES == ("left_hand", "right_hand")


def test_a_row_says_with_which_options_to_make_more_like_it() -> None:
    options = DetectorOptions(models=("face", "hands"), mirrored=True, num_hands=1, sampling=Sampling(fps=12.5))
    again = DetectorOptions.of_fingerprint(options.fingerprint)
    assert again.fingerprint == options.fingerprint
    assert again.parts == options.parts
    foreign = options.fingerprint.replace('"mediapipe": "', '"mediapipe": "0.')
    assert DetectorOptions.of_fingerprint(foreign) == again  # the same options, seen by another MediaPipe


@pytest.mark.parametrize(
    "fingerprint",
    [
        "by hand", "[]", "null", '{"importer": "npz", "version": 1}', '{"models": {}, "options": {}}',
        '{"models": {"ears": "ab"}, "options": {}}', '{"models": {"hands": "ab"}, "options": {"of_later": 1}}',
        '{"models": {"hands": "ab"}, "options": {"num_hands": 9}}', '{"models": {"hands": "ab"}, "options": []}',
    ],
)  # fmt: skip
def test_what_extraction_did_not_make_is_not_taken_for_its_own(fingerprint: str) -> None:
    with pytest.raises(ValueError, match="no fingerprint of an extraction"):
        DetectorOptions.of_fingerprint(fingerprint)
