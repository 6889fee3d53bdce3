"""A camera's pictures to landmarks, one after the other, each answered before the next is there.

What a recording's end or its later frames would still change is not known yet: a second hand that a look finds
(`hand_tracker`) is told from that look on, up to `look_every_s` late, and a hand has the side that it was seen as so
far. All else is as in a recording of the same frames.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sigflow.landmarks.detector import Detector, DetectorOptions
from sigflow.landmarks.extraction import Extracted, Failed, failure, row_of, wrists_of
from sigflow.landmarks.hands import LiveSides
from sigflow.landmarks.video import Bounds, ClipError, Sampler, decode_jpeg, upright_rgb

_CLIP = {"clip_id": ""}  # of pictures that are no clip


def failed_picture(options: DetectorOptions, stage: str, error: str) -> Failed:
    """Why there are no landmarks of a picture."""
    return failure(_CLIP, options, stage, error)


class Camera:
    """One stream in this process, with trackers of its own. Close after use."""

    def __init__(self, options: DetectorOptions, model_paths: Mapping[str, Path], bounds: Bounds) -> None:
        self._options, self._model_paths, self._bounds = options, model_paths, bounds
        self._run: _Run | None = None

    def look(self, jpeg: bytes, time_s: float, anew: bool) -> Extracted | Failed | None:
        """The row of one frame, timed from where the stream last began; None: the sampling leaves it out.

        Args:
            anew: nothing of the frames before it counts for this one; also lets time go back, and the size change.
        """
        try:
            frame = decode_jpeg(jpeg, self._bounds)
            size = (frame.frame.width, frame.frame.height)
            if anew or self._run is None:
                self.close()
                self._run = _Run(self._options, self._model_paths, size, time_s)
            return self._run.look(upright_rgb(frame, mirrored=self._options.mirrored), size, time_s)
        except Exception as error:  # whatever it is, it is this picture's
            stage = error.stage if isinstance(error, ClipError) else "detect"
            return failed_picture(self._options, stage, str(error) or type(error).__name__)

    def close(self) -> None:
        """Free the trackers."""
        if self._run is not None:
            self._run.detector.close()
            self._run = None


class _Run:
    """Frames that follow one another."""

    def __init__(
        self, options: DetectorOptions, model_paths: Mapping[str, Path], size: tuple[int, int], start_s: float
    ) -> None:
        self._options, self._size = options, size
        self._sampler = Sampler(options.sampling, start_s)
        self._sides = LiveSides(size[0] / size[1])
        self.detector = Detector(options, model_paths)

    def look(self, rgb_HWC: np.ndarray, size: tuple[int, int], time_s: float) -> Extracted | None:
        if size != self._size:
            was, now = ("x".join(map(str, each)) for each in (self._size, size))
            raise ClipError("size", f"a picture of {now} after others of {was}")
        time_ms = self._sampler.time_ms(time_s)
        if time_ms is None:
            return None
        self.detector.add(rgb_HWC, time_ms)
        seen = self.detector.newest()
        sides = self._sides.add(seen.hands, wrists_of(seen))
        return row_of(_CLIP, self._options, size, [time_ms], [seen], [sides])
