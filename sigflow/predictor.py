"""A bundle to predictions: onnxruntime and numpy only, so that a serving replica needs no torch.

Shape suffixes: B clips, T frames, P points, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import onnxruntime

from sigflow.bundle import Bundle, Manifest


@dataclass(frozen=True)
class ClipInput:
    """What a clip has of the model's inputs, (T, ...) float32 with NaN for missing; some may be left out.

    Attributes:
        time_s: of each frame, (T,).
        aspect: width / height of the video.
    """

    parts: Mapping[str, np.ndarray]
    time_s: np.ndarray
    aspect: float

    @cached_property
    def found(self) -> float:
        """Share of frames in which any part was detected."""
        seen = [~np.isnan(points.reshape(len(points), -1)).all(1) for points in self.parts.values()]
        return float(np.any(seen, axis=0).mean()) if seen else 0.0


class Answer(NamedTuple):
    """Of one clip: probabilities (K,), of sentences its frames' (T, K); of several members each one's own (M, K)."""

    probs: np.ndarray
    votes: np.ndarray | None = None


class Predictor:
    """Thread-safe; holds the loaded graph."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.manifest, self.precision = bundle.manifest, bundle.precision
        self._session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
        self._names = {value.name for value in self._session.get_inputs()}
        self._outputs = {value.name for value in self._session.get_outputs()}
        self.shapes = manifest_shapes(bundle.manifest)

    def predict(self, clips: Sequence[ClipInput]) -> list[np.ndarray]:
        """Each clip's probabilities (K,), classes in the order of `manifest.labels`; of sentences its frames' (T, K).

        Padding never changes them; nor does company, but for int8 made by method `dynamic` (see the manifest).
        """
        return [answer.probs for answer in self.answers(clips)]

    def answers(self, clips: Sequence[ClipInput], *, votes: bool = False) -> list[Answer]:
        """`predict`, with the members' votes if they are asked for and the graph has them."""
        asked = ["probs", "votes"] if votes and "votes" in self._outputs else ["probs"]
        probs, *voted = self._session.run(asked, self.feed(clips))
        if self.manifest.task == "sentences":
            return [Answer(frames_TK[: len(clip.time_s)]) for frames_TK, clip in zip(probs, clips, strict=True)]
        return [Answer(*each) for each in zip(probs, *voted, strict=True)]

    def feed(self, clips: Sequence[ClipInput]) -> dict[str, np.ndarray]:
        """The graph's inputs for these clips."""
        feed = batch_inputs(clips, self.shapes)
        return {name: feed[name] for name in self._names}


def manifest_shapes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """The shape of each part in a frame."""
    shapes = {value.name: value.shape[2:] for value in manifest.inputs if value.name in manifest.parts}
    return {part: tuple(int(size) for size in shapes[part]) for part in manifest.parts}


def batch_inputs(clips: Sequence[ClipInput], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The graph's inputs: every part and time_s padded with NaN to the longest clip."""
    lengths = np.array([len(clip.time_s) for clip in clips], np.int64)
    frames = int(lengths.max())
    feed: dict[str, np.ndarray] = {
        "time_s": np.full((len(clips), frames), np.nan, np.float32),
        "aspect": np.array([clip.aspect for clip in clips], np.float32),
        "lengths": lengths,
    }
    for part, shape in shapes.items():
        feed[part] = np.full((len(clips), frames, *shape), np.nan, np.float32)
    for row, clip in enumerate(clips):
        feed["time_s"][row, : lengths[row]] = clip.time_s
        for part in shapes:
            if part in clip.parts:
                feed[part][row, : lengths[row]] = clip.parts[part]
    return feed
