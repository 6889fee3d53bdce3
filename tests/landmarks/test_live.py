"""If these fail, a camera's stream gets other landmarks than a recording of it, or a bad picture ends its process."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import av
import numpy as np
import pytest

from sigflow.landmarks.assets import model_path
from sigflow.landmarks.detector import Detector, DetectorOptions
from sigflow.landmarks.extraction import Extracted, Failed
from sigflow.landmarks.hands import SIDES, assign_sides
from sigflow.landmarks.live import Camera
from sigflow.landmarks.synthetic import SUBJECTS, render_clip, render_scene
from sigflow.landmarks.synthetic.pose import HandPose
from sigflow.landmarks.video import Bounds, Sampling
from tests.landmarks.pictures import jpeg

FPS = 12
MODELS = {"hands": model_path("hands")}
Found = list[dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def wave() -> list[bytes]:
    """One hand."""
    return [jpeg(frame) for frame in render_clip(SUBJECTS[0], "wave", 0, num_frames=10).frames_THWC]


@pytest.fixture(scope="module")
def joining() -> list[bytes]:
    """The right hand; the left one comes with the sixth picture."""
    right, left = HandPose(position=(-0.75, -0.5, 0.0)), HandPose(position=(-0.75, -0.5, 0.0), left=True)
    away = HandPose(position=(9.0, 0.0, 0.0), left=True)
    poses = [[right, left if number >= 5 else away] for number in range(14)]
    clip = render_scene(poses, [SUBJECTS[0].look] * 2, SUBJECTS[0].camera, fps=FPS)
    return [jpeg(frame) for frame in clip.frames_THWC]


@pytest.fixture
def camera() -> Iterator[Camera]:
    with closing(Camera(DetectorOptions(), MODELS, Bounds(pixels=320 * 240))) as camera:
        yield camera


def look(camera: Camera, jpegs: Sequence[bytes], *, start_s: float = 0.0, anew: bool = False) -> Found:
    """The hands of each picture, 12 a second."""
    rows = [camera.look(each, start_s + n / FPS, anew and n == 0) for n, each in enumerate(jpegs)]
    return [hands_of(row) for row in rows]


def hands_of(row: Extracted | Failed | None) -> dict[str, np.ndarray]:
    assert isinstance(row, Extracted)
    assert row.columns["num_frames"] == 1
    hands = {side: row.columns[side].reshape(21, 3) for side in SIDES}
    return {side: points for side, points in hands.items() if not np.isnan(points).any()}


def recorded(jpegs: Sequence[bytes]) -> Found:
    """What a recording of the same pictures gives."""
    options = DetectorOptions()
    with Detector(options, MODELS) as detector:
        for number, each in enumerate(jpegs):
            with av.open(io.BytesIO(each), "r") as container:
                (frame,) = container.decode(video=0)
            detector.add(frame.to_ndarray(format="rgb24"), 1000 * number / FPS)
        sides = assign_sides([frame.hands for frame in detector.finish()], aspect=320 / 240)
    return [{side: hand.image_P3 for side, hand in given.items()} for given in sides]


def assert_same(some: Found, others: Found) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        for side, points in one.items():
            np.testing.assert_array_equal(points, other[side])


def test_a_picture_gets_the_landmarks_that_it_has_in_a_recording(camera: Camera, wave: list[bytes]) -> None:
    found = look(camera, wave, start_s=1e9)
    assert [set(each) for each in found] == [{"right_hand"}] * 10
    assert_same(found, recorded(wave))


def test_a_second_hand_is_there_after_the_next_look_and_then_as_in_a_recording(
    camera: Camera, joining: list[bytes]
) -> None:
    live, whole = look(camera, joining), recorded(joining)
    both = [len(each) == 2 for each in whole]
    assert both == [False] * 5 + [True] * 9
    late = [len(each) == 2 for each in live].index(True)
    assert 5 <= late <= 5 + 0.3 * FPS + 1
    assert_same(live[:5] + live[late:], whole[:5] + whole[late:])
    assert all(each.keys() == {"right_hand"} for each in live[5:late])


def test_a_stream_that_begins_anew_knows_nothing_of_before_and_may_go_back(
    camera: Camera, wave: list[bytes], joining: list[bytes]
) -> None:
    look(camera, joining[:3], start_s=50)
    assert_same(look(camera, wave[:4], anew=True), recorded(wave[:4]))


def test_nothing_is_kept_of_a_stream_that_does_not_end(camera: Camera, wave: list[bytes], joining: list[bytes]) -> None:
    look(camera, [*wave, *joining, *wave, *joining])
    assert camera._run
    assert camera._run.detector._hands
    assert camera._run.detector._vectors == []
    assert len(camera._run.detector._hands._found) <= 5
    assert all(len(track.hands) <= 3 for track in camera._run._sides._tracks)


@pytest.mark.parametrize(
    ("spoil", "stage", "words"),
    [
        (lambda jpeg: b"", "decode", "no whole JPEG"),
        (lambda jpeg: b"\x89PNG\r\n\x1a\n" + bytes(500), "decode", "no whole JPEG"),
        (lambda jpeg: jpeg[:30], "decode", "no whole JPEG"),
        (lambda jpeg: jpeg[: len(jpeg) // 2], "decode", "no whole JPEG"),
        (lambda jpeg: jpeg[:-40], "decode", "no whole JPEG"),
        (lambda jpeg: large(320, 248), "decode", "or one of more than 76800 pixels"),
        (lambda jpeg: declared(jpeg, 65500, 65500), "decode", "or one of more than 76800 pixels"),
        (lambda jpeg: large(64, 48), "size", "a picture of 64x48 after others of 320x240"),
    ],
    ids=["empty", "png", "header", "half", "cut off", "large", "a bomb", "another size"],
)
def test_a_picture_that_is_wrong_is_told_and_the_next_is_looked_at(
    camera: Camera, wave: list[bytes], spoil: Callable[[bytes], bytes], stage: str, words: str
) -> None:
    first = look(camera, wave[:2])
    wrong = camera.look(spoil(wave[2]), 2 / FPS, False)
    assert isinstance(wrong, Failed)
    assert wrong.columns["stage"] == stage
    assert words in wrong.columns["error"]
    assert_same([*first, *look(camera, wave[2:4], start_s=2 / FPS)], recorded(wave[:4]))


def test_another_size_may_come_when_the_stream_begins_anew(camera: Camera, wave: list[bytes]) -> None:
    look(camera, wave[:1])
    row = camera.look(large(64, 48), 100.0, True)
    assert isinstance(row, Extracted)
    assert (row.columns["width"], row.columns["height"], row.columns["time_ms"].tolist()) == (64, 48, [0.0])


def test_pictures_that_the_bundles_clips_would_not_have_are_left_out(wave: list[bytes]) -> None:
    options = DetectorOptions(sampling=Sampling(fps=6))
    with closing(Camera(options, MODELS, Bounds())) as camera:
        given = [camera.look(each, n / FPS, False) is not None for n, each in enumerate(wave)]
    assert given == [True, False] * 5


def test_a_mirrored_camera_is_flipped_back_as_its_recordings_were(wave: list[bytes]) -> None:
    frames = render_clip(SUBJECTS[0], "wave", 0, num_frames=3).frames_THWC
    selfie = [jpeg(frame[:, ::-1]) for frame in frames]
    with closing(Camera(DetectorOptions(mirrored=True), MODELS, Bounds())) as camera:
        assert [set(each) for each in look(camera, selfie)] == [{"right_hand"}] * 3


def large(width: int, height: int) -> bytes:
    return jpeg(np.full((height, width, 3), 90, np.uint8))


def declared(picture: bytes, width: int, height: int) -> bytes:
    """With another size in its header."""
    at = picture.index(b"\xff\xc0") + 5
    return picture[:at] + height.to_bytes(2) + width.to_bytes(2) + picture[at + 4 :]
