"""The sample set: six subjects make eight gestures, rendered with known landmarks and written as videos.

Shapes: T frames, H height, W width, C colours (3), N hands, P landmarks (21).
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from math import ceil, pi, radians, sin
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from sigflow.landmarks.synthetic.pose import GESTURES, Floats, HandPose, HandShape, gesture_pose
from sigflow.landmarks.synthetic.render import Camera, Look, draw_frame, make_background, true_landmarks

_SPEC_FILE = "sample_set.json"
_NOISE_LEVELS = 2.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Who makes the gestures, before which camera."""

    name: str
    look: Look
    camera: Camera
    left: bool
    fps: int
    pace: float
    """Gestures per second; a clip shows one gesture."""
    room: int
    """Seed of the background."""


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        name="ada",
        look=Look(skin_rgb=(228.0, 178.0, 148.0)),
        camera=Camera(),
        left=False,
        fps=25,
        pace=1.0,
        room=1,
    ),
    Subject(
        name="bo",
        look=Look(shape=HandShape(fingers=0.94, palm_width=1.06, thickness=1.1), skin_rgb=(236.0, 194.0, 166.0)),
        camera=Camera(width=320, height=320, hand_px=125.0, yaw_rad=radians(-9.0), pitch_rad=radians(5.0)),
        left=True,
        fps=30,
        pace=1.2,
        room=2,
    ),
    Subject(
        name="chi",
        look=Look(shape=HandShape(fingers=1.05, palm_width=0.95, thickness=0.92), skin_rgb=(150.0, 100.0, 72.0)),
        camera=Camera(hand_px=96.0, distance=6.5, yaw_rad=radians(10.0)),
        left=False,
        fps=24,
        pace=0.95,
        room=3,
    ),
    Subject(
        name="dee",
        look=Look(shape=HandShape(fingers=1.02, thickness=0.96), skin_rgb=(196.0, 142.0, 106.0)),
        camera=Camera(hand_px=110.0, distance=4.2, pitch_rad=radians(-8.0)),
        left=True,
        fps=15,
        pace=0.7,
        room=4,
    ),
    Subject(
        name="eli",
        look=Look(shape=HandShape(fingers=0.97, palm_width=1.03, thickness=1.04), skin_rgb=(240.0, 202.0, 180.0)),
        camera=Camera(width=320, height=320, hand_px=112.0, distance=5.5, pitch_rad=radians(8.0)),
        left=False,
        fps=30,
        pace=1.4,
        room=5,
    ),
    Subject(
        name="fay",
        look=Look(shape=HandShape(fingers=1.03, palm_width=0.97, thickness=0.95), skin_rgb=(112.0, 74.0, 54.0)),
        camera=Camera(hand_px=102.0, yaw_rad=radians(-6.0), pitch_rad=radians(-4.0)),
        left=True,
        fps=25,
        pace=0.9,
        room=6,
    ),
)


@dataclass(frozen=True)
class RenderedClip:
    """Frames and what is true of them: landmarks divided by width and height, hands in the order given."""

    frames_THWC: NDArray[np.uint8]
    landmarks_TNP2: Floats
    fps: int


def render_scene(
    poses_TN: Sequence[Sequence[HandPose]],
    looks_N: Sequence[Look],
    camera: Camera,
    *,
    fps: int,
    room: int = 0,
    seed: int = 0,
) -> RenderedClip:
    """Any hands, given frame by frame. `room` decides the background, `seed` the camera's noise."""
    background_HWC = make_background(camera, np.random.default_rng(room))
    rng = np.random.default_rng(seed)
    grain_HW1 = rng.normal(0.0, _NOISE_LEVELS, (camera.height, camera.width, 1)).astype(np.float32)
    frames: list[NDArray[np.uint8]] = []
    for poses_N in poses_TN:
        # Rolling one picture of noise costs a tenth of drawing a new one, and no codec or detector can tell.
        shift = tuple(int(s) for s in rng.integers(0, (camera.height, camera.width)))
        noisy_HWC = background_HWC + np.roll(grain_HW1, shift, axis=(0, 1))
        frames.append(draw_frame(noisy_HWC, list(zip(poses_N, looks_N, strict=True)), camera))
    landmarks = [
        [true_landmarks(pose, look, camera) for pose, look in zip(poses_N, looks_N, strict=True)]
        for poses_N in poses_TN
    ]
    return RenderedClip(np.stack(frames), np.array(landmarks, np.float32), fps)


def render_clip(
    subject: Subject, gesture: str, take: int, *, seed: int = 0, num_frames: int | None = None
) -> RenderedClip:
    """One gesture of one subject, 20 to 30 frames unless told otherwise. Same arguments, same pixels."""
    # crc32 and not hash(): the latter changes from process to process.
    names = [zlib.crc32(name.encode()) for name in (subject.name, gesture)]
    rng = np.random.default_rng([seed, take, *names])
    if num_frames is None:
        num_frames = int(np.clip(round(subject.fps / subject.pace * rng.uniform(0.9, 1.1)), 20, 30))
    jitter = _Jitter.draw(rng)
    poses_TN = []
    for time in np.linspace(0.0, 1.0, num_frames).tolist():
        pose = gesture_pose(gesture, jitter.warp(time), left=subject.left)
        poses_TN.append([jitter.apply(pose, time)])
    noise = int(rng.integers(2**32))
    return render_scene(poses_TN, [subject.look], subject.camera, fps=subject.fps, room=subject.room, seed=noise)


@dataclass(frozen=True, kw_only=True)
class _Jitter:
    """How one take differs from the ideal gesture."""

    late: float
    hurry: float
    curl: tuple[float, ...]
    turn_rad: tuple[float, float, float]
    shift: tuple[float, float, float]
    sway: float
    sway_phase: float
    scale: float

    @staticmethod
    def draw(rng: np.random.Generator) -> "_Jitter":
        return _Jitter(
            late=rng.uniform(-0.05, 0.05),
            hurry=rng.uniform(-0.12, 0.12),
            curl=tuple(rng.normal(0.0, 0.025, 5).tolist()),
            turn_rad=tuple(rng.normal(0.0, (0.07, 0.06, 0.06)).tolist()),
            shift=tuple(rng.normal(0.0, (0.06, 0.04, 0.05)).tolist()),
            sway=rng.uniform(0.01, 0.03),
            sway_phase=rng.uniform(0.0, 2.0 * pi),
            scale=rng.uniform(0.96, 1.04),
        )

    def warp(self, time: float) -> float:
        """When in the gesture a moment of the clip lies, both in [0, 1]."""
        phase = time + self.hurry * sin(2.0 * pi * time) / (2.0 * pi) + self.late * sin(pi * time)
        return min(max(phase, 0.0), 1.0)

    def apply(self, pose: HandPose, time: float) -> HandPose:
        sway = self.sway * sin(2.0 * pi * time + self.sway_phase)
        x, y, z = (p + s for p, s in zip(pose.position, self.shift, strict=True))
        curl = tuple(min(max(c + j, 0.0), 1.0) for c, j in zip(pose.curl, self.curl, strict=True))
        return replace(
            pose,
            curl=curl,
            yaw_rad=pose.yaw_rad + self.turn_rad[0],
            pitch_rad=pose.pitch_rad + self.turn_rad[1],
            roll_rad=pose.roll_rad + self.turn_rad[2] + sway,
            position=(x + sway, y, z),
            scale=pose.scale * self.scale,
        )


def write_video(path: Path, frames_THWC: NDArray[np.uint8], fps: int) -> None:
    """H.264 in mp4, yuv420p; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(part), "w", format="mp4") as container:
            # One thread: with more, the bytes depend on the machine; clips are written side by side anyway.
            # Nor B-frames: with them and AVX-512 bytes differ from one time to the next.
            options = {"crf": "20", "preset": "veryfast", "x264-params": "bframes=0"}
            stream = container.add_stream("libx264", rate=fps, options=options)
            stream.codec_context.thread_count = 1
            stream.height, stream.width = frames_THWC.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for frame_HWC in frames_THWC:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
            container.mux(stream.encode())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_sample_set(
    root: Path,
    *,
    subjects: Sequence[Subject] = SUBJECTS,
    gestures: Sequence[str] = GESTURES,
    takes: int = 4,
    seed: int = 0,
    processes: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write `root/<subject>/<gesture>/<take>.mp4` and return `root`; clips that are there already stay.

    A set made of other subjects, gestures, seeds or code is replaced. `on_progress` gets the numbers of clips
    done and to do. `processes` 1 renders in this process; None takes every core, and then the calling script
    needs its `if __name__ == "__main__"`.
    """
    spec = _fingerprint(subjects, gestures, takes, seed)
    wanted = {f"{s.name}/{g}/{t}.mp4": (s, g, t) for s in subjects for g in gestures for t in range(takes)}
    record = root / _SPEC_FILE
    old = json.loads(record.read_text()) if record.exists() else {"fingerprint": "", "clips": []}
    same = old["fingerprint"] == spec
    missing = {name: clip for name, clip in wanted.items() if not (same and (root / name).is_file())}
    if not missing:
        return root
    if not same:
        record.unlink(missing_ok=True)
        for name in set(old["clips"]) - set(wanted):
            (root / name).unlink(missing_ok=True)
    if processes is None:
        # A process takes a second to start: fewer than eight clips each are sooner done by fewer.
        processes = min(os.cpu_count() or 1, ceil(len(missing) / 8))
    _write_clips({root / name: clip for name, clip in missing.items()}, seed, processes, on_progress)
    part = record.with_name(f".{record.name}.{os.getpid()}.part")
    part.write_text(json.dumps({"fingerprint": spec, "clips": sorted(wanted)}))
    part.replace(record)
    return root


def _write_clips(
    clips: dict[Path, tuple[Subject, str, int]],
    seed: int,
    processes: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    report = on_progress or (lambda done, total: None)
    if processes <= 1:
        for done, (path, clip) in enumerate(clips.items(), 1):
            _write_clip(path, *clip, seed)
            report(done, len(clips))
        return
    # spawn: forking a process that already runs threads (torch, Ray) may deadlock the child.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write_clip, path, *clip, seed) for path, clip in clips.items()]
        for done, future in enumerate(as_completed(futures), 1):
            future.result()
            report(done, len(clips))


def _write_clip(path: Path, subject: Subject, gesture: str, take: int, seed: int) -> None:
    clip = render_clip(subject, gesture, take, seed=seed)
    write_video(path, clip.frames_THWC, clip.fps)


def _fingerprint(subjects: Sequence[Subject], gestures: Sequence[str], takes: int, seed: int) -> str:
    """Of all that decides the pixels: the selection and this package's own source."""
    digest = hashlib.sha256(json.dumps([[asdict(s) for s in subjects], list(gestures), takes, seed]).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
