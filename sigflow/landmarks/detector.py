"""Frames to landmarks with MediaPipe's Tasks API. The only file that imports mediapipe."""

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from sigflow.config import Config
from sigflow.landmarks.assets import ASSETS
from sigflow.landmarks.hand_tracker import HandTracker
from sigflow.landmarks.hands import HandDetection
from sigflow.landmarks.video import Sampling
from sigflow.topology import MODELS


class DetectorOptions(Config):
    """What is looked for, and how. Confidences are MediaPipe's own, with its own defaults."""

    models: tuple[str, ...] = ("hands",)  # of topology.MODELS
    mirrored: bool = False  # the video is a mirrored selfie: its frames are flipped back first
    num_hands: int = Field(default=2, ge=1, le=2)
    look_every_s: float = Field(default=0.3, ge=0, le=5)  # between searches for a second hand, see `hand_tracker`
    min_detection_confidence: float = 0.5
    min_presence_confidence: float = 0.5
    min_tracking_confidence: float = 0.5
    sampling: Sampling = Sampling()

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that these models give."""
        return tuple(part for model in MODELS if model in self.models for part in MODELS[model])

    @property
    def fingerprint(self) -> str:
        """What a row was made with, as JSON: rows of different fingerprints should not be mixed."""
        made_with = {
            "mediapipe": version("mediapipe"),
            "models": {model: ASSETS[model].sha256[:12] for model in sorted(self.models)},
            "mode": "video",
            "options": self.model_dump(exclude={"models"}),
        }
        return json.dumps(made_with, sort_keys=True)

    @classmethod
    def of_fingerprint(cls, fingerprint: str) -> "DetectorOptions":
        """The options that a row was made with. The same ones here have another fingerprint if other models look.

        Raises:
            ValueError: the row was imported, or made by a later version.
        """
        try:
            made_with = json.loads(fingerprint)
            models = tuple(made_with["models"])
            if not models or not set(models) <= MODELS.keys():
                raise ValueError(f"models {models}")
            return cls(models=models, **made_with["options"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError("no fingerprint of an extraction, or of a later one") from error


@dataclass(frozen=True)
class FrameDetections:
    """What was seen in one frame: hands as MediaPipe lists them; vectors by schema column, absent if not seen."""

    hands: list[HandDetection] = field(default_factory=list)
    vectors: dict[str, np.ndarray] = field(default_factory=dict)


class Detector:
    """Trackers for ONE video: what they remember of it must not leak into the next. Close after use."""

    def __init__(self, options: DetectorOptions, model_paths: Mapping[str, Path]) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        self._tasks: dict[str, Any] = {}
        self._hands: HandTracker | None = None
        self._vectors: list[dict[str, np.ndarray]] = []
        with ExitStack() as stack:
            for model in options.models:
                if model == "hands":
                    opener = partial(_Hands, options, model_paths[model])
                    self._hands = HandTracker(opener, options.num_hands, options.look_every_s)
                    stack.callback(self._hands.close)
                else:
                    self._tasks[model] = stack.enter_context(_open_task(model, options, model_paths[model]))
            self._stack = stack.pop_all()  # all were made: from here on `close` ends them

    def __enter__(self) -> "Detector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the trackers; MediaPipe wants this before the interpreter ends."""
        self._stack.close()

    def add(self, rgb_HWC: np.ndarray, time_ms: float) -> None:
        """The next frame, (H, W, 3) uint8 RGB in C order; times increase strictly."""
        import mediapipe

        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb_HWC)
        if self._hands:
            self._hands.add(image, int(time_ms), rgb_HWC.nbytes)
        vectors: dict[str, np.ndarray] = {}
        for model, task in self._tasks.items():
            result = task.detect_for_video(image, int(time_ms))
            vectors |= _pose(result) if model == "pose" else _face(result)
        self._vectors.append(vectors)

    def newest(self) -> FrameDetections:
        """What is known now of the last frame, for a stream that `finish` never comes to; the others are forgotten."""
        vectors = self._vectors[-1]
        self._vectors.clear()
        return FrameDetections(self._hands.newest() if self._hands else [], vectors)

    def finish(self) -> list[FrameDetections]:
        """What was seen in each frame; complete only after the last one, since hands may be found looking back."""
        hands = self._hands.finish() if self._hands else [[]] * len(self._vectors)
        return [FrameDetections(*frame) for frame in zip(hands, self._vectors, strict=True)]


class _Hands:
    """A `hand_tracker.Tracker`."""

    def __init__(self, options: DetectorOptions, path: Path, num_hands: int) -> None:
        self._task = _open_task("hands", options, path, num_hands)

    def detect(self, image: Any, time_ms: int) -> list[HandDetection]:
        result = self._task.detect_for_video(image, time_ms)
        return [
            HandDetection(_points(points), _points(world), kinds[0].category_name, float(kinds[0].score))
            for points, world, kinds in zip(
                result.hand_landmarks, result.hand_world_landmarks, result.handedness, strict=True
            )
        ]

    def close(self) -> None:
        self._task.close()


def _open_task(model: str, options: DetectorOptions, path: Path, num_hands: int = 2) -> Any:
    from mediapipe.tasks.python import BaseOptions, vision  # here, because importing it takes over a second

    shared = {
        "base_options": BaseOptions(model_asset_path=str(path)),
        "running_mode": vision.RunningMode.VIDEO,
        "min_tracking_confidence": options.min_tracking_confidence,
    }
    detection, presence = options.min_detection_confidence, options.min_presence_confidence
    match model:
        case "hands":
            return vision.HandLandmarker.create_from_options(
                vision.HandLandmarkerOptions(
                    **shared, num_hands=num_hands,
                    min_hand_detection_confidence=detection, min_hand_presence_confidence=presence,
                )
            )  # fmt: skip
        case "pose":
            return vision.PoseLandmarker.create_from_options(
                vision.PoseLandmarkerOptions(
                    **shared, min_pose_detection_confidence=detection, min_pose_presence_confidence=presence
                )
            )
        case "face":
            return vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    **shared, min_face_detection_confidence=detection, min_face_presence_confidence=presence,
                    output_face_blendshapes=True,
                )
            )  # fmt: skip
    raise ValueError(model)


def _points(landmarks: Any) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in landmarks], np.float32)


def _pose(result: Any) -> dict[str, np.ndarray]:
    if not result.pose_landmarks:
        return {}
    image = result.pose_landmarks[0]
    return {
        "pose": _points(image).reshape(-1),
        "pose_world": _points(result.pose_world_landmarks[0]).reshape(-1),
        "pose_visibility": np.array([point.visibility for point in image], np.float32),
        "pose_presence": np.array([point.presence for point in image], np.float32),
    }


def _face(result: Any) -> dict[str, np.ndarray]:
    if not result.face_landmarks:
        return {}
    vectors = {"face": _points(result.face_landmarks[0]).reshape(-1)}
    if result.face_blendshapes:
        vectors["blendshapes"] = np.array([shape.score for shape in result.face_blendshapes[0]], np.float32)
    return vectors
