"""A bundle to predictions: onnxruntime and numpy only, so that a serving replica needs no torch.

Shape suffixes: B clips, T frames, P points, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime

from sigflow.bundle import Bundle
from sigflow.topology import PARTS


@dataclass(frozen=True)
class ClipInput:
    """One clip's landmarks by part, (T, P, 3) float32 with NaN for missing; parts may be left out.

    Attributes:
        time_s: of each frame, (T,).
        aspect: width / height of the video.
    """

    parts: Mapping[str, np.ndarray]
    time_s: np.ndarray
    aspect: float

    @property
    def found(self) -> float:
        """Share of frames in which any part was detected."""
        seen = [~np.isnan(points[:, 0, 0]) for points in self.parts.values()]
        return float(np.any(seen, axis=0).mean()) if seen else 0.0


class Predictor:
    """Thread-safe; holds the loaded graph."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.manifest = bundle.manifest
        self._session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
        self._names = {value.name for value in self._session.get_inputs()}

    def predict(self, clips: Sequence[ClipInput]) -> np.ndarray:
        """Probabilities (B, K), classes in the order of `manifest.labels`. Padding never changes them."""
        feed = batch_inputs(clips, self.manifest.parts)
        probs: np.ndarray = self._session.run(["probs"], {name: feed[name] for name in self._names})[0]
        return probs


def batch_inputs(clips: Sequence[ClipInput], parts: Sequence[str]) -> dict[str, np.ndarray]:
    """The graph's inputs: every part and time_s padded with NaN to the longest clip."""
    lengths = np.array([len(clip.time_s) for clip in clips], np.int64)
    frames = int(lengths.max())
    feed: dict[str, np.ndarray] = {
        "time_s": np.full((len(clips), frames), np.nan, np.float32),
        "aspect": np.array([clip.aspect for clip in clips], np.float32),
        "lengths": lengths,
    }
    for part in parts:
        feed[part] = np.full((len(clips), frames, PARTS[part].num_points, 3), np.nan, np.float32)
    for row, clip in enumerate(clips):
        feed["time_s"][row, : lengths[row]] = clip.time_s
        for part in parts:
            if part in clip.parts:
                feed[part][row, : lengths[row]] = clip.parts[part]
    return feed
