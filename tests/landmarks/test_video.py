"""If these fail, frames come turned, at wrong times, from outside the segment, or a broken file stops a whole job."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from pydantic import ValidationError

from sigflow.landmarks.video import Bounds, ClipError, Frame, Sampling, decode, read_frames
from sigflow.storage import locate

WIDTH, HEIGHT = 64, 48
RED = np.array([255, 0, 0])
MS = Fraction(1, 1000)


def grey(number: int) -> int:
    """How bright the number-th frame is: what tells frames apart after compression."""
    return 10 + 10 * number


def write(
    path: Path,
    num_frames: int = 20,
    *,
    codec: str = "libx264",
    times_ms: list[int] | None = None,
    rotation: int | None = None,
    hflip: bool = False,
    key_every: int = 12,
    faststart: bool = False,
) -> Path:
    """25 frames a second unless `times_ms` says otherwise, a red corner at the top left, the rest grey."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if faststart else {}) as container:
        options = {"g": str(key_every)} | ({"tune": "zerolatency", "bf": "0"} if times_ms else {})
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if times_ms:
            stream.codec_context.time_base = MS
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=hflip)
        for number in range(num_frames):
            picture = np.full((HEIGHT, WIDTH, 3), grey(number), np.uint8)
            picture[: HEIGHT // 2, : WIDTH // 2] = RED
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = times_ms[number], MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(
    path: Path,
    *,
    every: int = 1,
    fps: float | None = None,
    mirrored: bool = False,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> list[Frame]:
    sampling = Sampling(every=every, fps=fps)
    return list(read_frames(str(path), sampling, mirrored=mirrored, start_s=start_s, end_s=end_s))


def times(frames: list[Frame]) -> list[float]:
    return [round(frame.time_ms, 3) for frame in frames]


def numbers(frames: list[Frame]) -> list[int]:
    """Which frames of the file these are, told by their brightness, where no corner is red."""
    return [round((float(frame.rgb_HWC[-4:, -4:].mean()) - 10) / 10) for frame in frames]


def red_corner(frame: Frame) -> str:
    height, width = frame.rgb_HWC.shape[:2]
    corners = {
        f"{vertical} {horizontal}": np.abs(frame.rgb_HWC[int(y * height), int(x * width)] - RED).max() < 60
        for vertical, y in (("top", 0.2), ("bottom", 0.8))
        for horizontal, x in (("left", 0.2), ("right", 0.8))
    }
    (name,) = (name for name, is_red in corners.items() if is_red)
    return name


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("video") / "clip.mp4")


def test_every_frame_comes_in_order_with_its_time(clip: Path) -> None:
    frames = read(clip)
    assert times(frames) == [40.0 * number for number in range(20)]
    assert numbers(frames) == list(range(20))
    assert frames[0].rgb_HWC.shape == (HEIGHT, WIDTH, 3)
    assert frames[0].rgb_HWC.dtype == np.uint8


def test_colours_are_rgb_and_not_bgr(clip: Path) -> None:
    assert red_corner(read(clip)[0]) == "top left"


def test_an_open_stream_is_read_like_a_path(clip: Path) -> None:
    with locate(clip).open() as stream, clip.open("rb") as file:
        for source in (stream, file):
            assert len(list(read_frames(source, Sampling(), start_s=0.4))) == 10


@pytest.mark.parametrize(
    ("rotation", "shape", "corner"),
    [
        (0, (HEIGHT, WIDTH), "top left"),
        (90, (WIDTH, HEIGHT), "bottom left"),  # counter-clockwise
        (180, (HEIGHT, WIDTH), "bottom right"),
        (-90, (WIDTH, HEIGHT), "top right"),
    ],
)
def test_phone_videos_come_upright(tmp_path: Path, rotation: int, shape: tuple[int, int], corner: str) -> None:
    frame = read(write(tmp_path / "phone.mp4", 2, rotation=rotation))[0]
    assert frame.rgb_HWC.shape[:2] == shape
    assert red_corner(frame) == corner
    assert frame.rgb_HWC.flags.c_contiguous


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, "top right"), (90, "bottom right"), (180, "bottom left"), (-90, "top left")]
)
def test_videos_whose_metadata_flip_them_are_seen_as_a_player_shows_them(
    tmp_path: Path, rotation: int, corner: str
) -> None:
    assert red_corner(read(write(tmp_path / "flip.mp4", 2, rotation=rotation, hflip=True))[0]) == corner


def test_mirrored_videos_are_flipped_back_after_they_are_upright(tmp_path: Path, clip: Path) -> None:
    frame = read(clip, mirrored=True)[0]
    assert red_corner(frame) == "top right"
    assert frame.rgb_HWC.flags.c_contiguous
    assert red_corner(read(write(tmp_path / "phone.mp4", 2, rotation=90), mirrored=True)[0]) == "bottom right"


def test_each_nth_frame_keeps_its_own_time(clip: Path) -> None:
    frames = read(clip, every=7)
    assert numbers(frames) == [0, 7, 14]
    assert times(frames) == [0, 280, 560]


def test_a_lower_rate_is_met_on_average_at_the_videos_own_times(clip: Path) -> None:
    frames = read(clip, fps=10)
    assert times(frames) == [0, 120, 200, 320, 400, 520, 600, 720]


def test_a_higher_rate_repeats_nothing(clip: Path) -> None:
    assert numbers(read(clip, fps=60)) == list(range(20))


def test_a_gap_is_not_made_up_for_by_a_burst(tmp_path: Path) -> None:
    gap = [*range(0, 200, 20), *range(1010, 1210, 20)]
    frames = read(write(tmp_path / "gap.mkv", times_ms=gap), fps=10)
    assert times(frames) == [0, 100, 1010, 1110]


@pytest.mark.parametrize("sampling", [{"every": 0}, {"every": -1}, {"fps": 0.0}, {"fps": -5.0}])
def test_a_sampling_that_means_nothing_is_refused(sampling: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Sampling.model_validate(sampling)


def test_variable_frame_rates_keep_their_times(tmp_path: Path) -> None:
    given = [0, 40, 41, 200, 1000, 1040]
    for suffix in ("mp4", "mkv", "ts"):
        frames = read(write(tmp_path / f"phone.{suffix}", 6, times_ms=given))
        assert times(frames) == given, suffix
        assert numbers(frames) == list(range(6)), suffix


def test_repeated_times_still_increase_and_no_frame_is_lost(tmp_path: Path) -> None:
    frames = read(write(tmp_path / "repeats.mkv", 6, times_ms=[0, 10, 10, 20, 20, 30]))
    assert numbers(frames) == list(range(6))
    assert all(int(after) > int(before) for before, after in pairwise(times(frames)))
    assert np.abs(np.array(times(frames)) - [0, 10, 10, 20, 20, 30]).max() <= 1


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"),
     ("a.mpg", "mpeg1video"), ("a.wmv", "wmv2"), ("a.ts", "libx264")],
)  # fmt: skip
def test_a_segment_is_cut_at_its_times_in_every_container(tmp_path: Path, name: str, codec: str) -> None:
    path = write(tmp_path / name, codec=codec)
    frames = read(path, start_s=0.4, end_s=0.6)
    assert numbers(frames) == [10, 11, 12, 13, 14]
    assert np.allclose(times(frames), [0, 40, 80, 120, 160], atol=1e-3)
    assert numbers(read(path, start_s=0.6)) == [15, 16, 17, 18, 19]


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_files_whose_clock_does_not_start_at_zero_start_at_zero(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"recorder.{suffix}", codec="libx264" if suffix == "ts" else "mpeg1video")
    with av.open(str(path)) as container:
        assert (container.streams.video[0].start_time or 0) > 0
    assert np.allclose(times(read(path)), [40.0 * number for number in range(20)], atol=1e-3)


def test_segments_side_by_side_share_no_frame_and_lose_none(clip: Path) -> None:
    first, second = read(clip, end_s=0.5), read(clip, start_s=0.5)
    assert numbers(first) + numbers(second) == list(range(20))


def test_sampling_counts_from_the_start_of_the_segment(clip: Path) -> None:
    assert numbers(read(clip, every=3, start_s=0.4)) == [10, 13, 16, 19]
    assert numbers(read(clip, fps=10, start_s=0.4))[:3] == [10, 13, 15]


def test_a_segment_behind_the_end_has_no_frames(clip: Path) -> None:
    assert read(clip, start_s=60.0) == []


def refused(path: Path) -> ClipError:
    with pytest.raises(ClipError) as error:
        read(path)
    assert str(error.value)
    return error.value


@pytest.mark.parametrize("content", [b"", b"hello " * 100, b"\x00" * 4096], ids=["empty", "text", "zeros"])
def test_what_is_no_video_is_refused_when_opened(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "not.mp4"
    path.write_bytes(content)
    assert refused(path).stage == "open"


def test_a_sound_file_is_refused_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    error = refused(path)
    assert (error.stage, str(error)) == ("open", "no video stream")


def test_a_file_that_is_not_there_is_refused_when_opened(tmp_path: Path) -> None:
    error = refused(tmp_path / "nowhere.mp4")
    assert error.stage == "open"
    assert "No such file" in str(error)


def test_an_upload_that_broke_off_is_refused(tmp_path: Path, clip: Path) -> None:
    half = tmp_path / "half.mp4"
    half.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert refused(half).stage == "open"  # the index, at the end of the file, is missing


def test_a_download_that_broke_off_is_refused_although_it_starts_well(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.mp4", faststart=True).read_bytes()
    half = tmp_path / "half.mp4"
    half.write_bytes(whole[: whole.index(b"mdat") + (len(whole) - whole.index(b"mdat")) // 2])
    assert refused(half).stage == "decode"


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "rate", "size"),
    [
        ("a.gif", "gif", "rgb8", 20, (64, 48)),
        ("odd.mkv", "ffv1", "yuv444p", 25, (65, 47)),
        ("fast.mp4", "libx264", "yuv420p", 60, (64, 48)),
        ("slow.mp4", "libx264", "yuv420p", 5, (64, 48)),
        ("a.webm", "libvpx-vp9", "yuv420p", 30, (64, 48)),
    ],
)
def test_formats_that_people_have_keep_their_frames_size_and_times(
    tmp_path: Path, name: str, codec: str, pixels: str, rate: int, size: tuple[int, int]
) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for number in range(10):
            picture = np.full((size[1], size[0], 3), grey(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)))
        container.mux(stream.encode())
    frames = read(tmp_path / name)
    assert [frame.rgb_HWC.shape for frame in frames] == [(size[1], size[0], 3)] * 10
    assert times(frames) == pytest.approx([1000 / rate * number for number in range(10)], abs=1.01)


def test_a_video_of_one_frame_is_a_clip(tmp_path: Path) -> None:
    assert times(read(write(tmp_path / "one.mp4", 1))) == [0.0]


@pytest.mark.parametrize(
    ("bounds", "stage", "words"),
    [
        (Bounds(frames=19), "bounds", "more than 19 frames"),
        (Bounds(seconds=0.79), "bounds", "longer than 0.79 s"),
        (Bounds(pixels=WIDTH * HEIGHT - 1), "bounds", "larger than 3071 pixels"),
        (Bounds(formats=("matroska",)), "open", "not a readable video of matroska"),
        (Bounds(codecs=("vp9",)), "open", "codec h264 is not read; vp9 are"),
    ],
)
def test_a_video_beyond_its_bounds_is_refused_and_one_within_is_read(
    clip: Path, bounds: Bounds, stage: str, words: str
) -> None:
    with pytest.raises(ClipError, match=words) as error:
        list(decode(str(clip), bounds=bounds))
    assert error.value.stage == stage
    within = Bounds(formats=("mov",), codecs=("h264",), pixels=WIDTH * HEIGHT, seconds=0.8, frames=20)
    assert len(list(decode(str(clip), bounds=within))) == 20
