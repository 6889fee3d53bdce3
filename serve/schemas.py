"""What HTTP clients send and get, as JSON.

Landmarks come as nested lists: frames x points x (x, y, z), null for a frame in which the part was not detected, and
for a point that the client's detector does not give (a face of 468 points has no irises).
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from serve.problems import BadInputError, Problem
from sigflow.bundle import Streaming
from sigflow.config import Config

_FRAME = [[0.5, 0.5, 0.0]] * 21
EXAMPLE = {"landmarks": {"right_hand": [_FRAME, None, _FRAME]}, "fps": 30, "aspect": 1.33, "top_k": 3}


class Wanted(Config):
    """What to answer with; in bodies that are no JSON these are query parameters."""

    top_k: int = Field(default=5, ge=1, le=1000, description="so many labels, the most likely first")
    threshold: float = Field(default=0.0, ge=0, le=1, description="a less likely label is answered as null")
    votes: bool = Field(default=False, description="also what each member of the ensemble says")


class VideoWanted(Wanted):
    """Beside a video."""

    landmarks: bool = Field(default=False, description="also the landmarks, as :predict takes them")


class Instance(Config):
    """One clip. Times come from `time_ms`, or from `fps`."""

    landmarks: dict[str, list[Any]] = Field(
        description="by part: frames x points x 3; null frames and null points are missing"
    )
    fps: float | None = Field(default=None, gt=0, le=1000)
    time_ms: list[float] | None = Field(
        default=None, fail_fast=True, description="of each frame, increasing; instead of fps"
    )
    aspect: float = Field(default=4 / 3, gt=0.05, lt=20, description="width / height of the video")


class PredictRequest(Wanted):
    """Either one clip's fields, or `instances`: several clips."""

    landmarks: dict[str, list[Any]] | None = None
    fps: float | None = Field(default=None, gt=0, le=1000)
    time_ms: list[float] | None = Field(default=None, fail_fast=True)
    aspect: float = Field(default=4 / 3, gt=0.05, lt=20)
    instances: list[Instance] | None = Field(default=None, min_length=1)

    def clips(self) -> list[Instance]:
        """The clips that are asked about."""
        if (self.landmarks is None) == (self.instances is None):
            raise BadInputError("give either 'landmarks' (one clip) or 'instances' (several)")
        if self.instances is not None:
            if {"fps", "time_ms", "aspect"} & self.model_fields_set:
                raise BadInputError("with 'instances', give fps, time_ms and aspect in each of them")
            return self.instances
        return [Instance(landmarks=self.landmarks or {}, fps=self.fps, time_ms=self.time_ms, aspect=self.aspect)]


class Vote(Config):
    """What one member of the ensemble says: its top k, before weights and temperature."""

    run: str
    weight: float
    probabilities: dict[str, float]


class Prediction(Config):
    """The answer for one clip. `found`: share of frames with any detection; at 0 the label is a guess."""

    label: str | None  # of sentences: the glosses with spaces between; null: none is as likely as the threshold
    probabilities: dict[str, float]  # the top k, most likely first; of sentences empty
    glosses: list[str] | None = None  # of sentences alone
    votes: list[Vote] | None = None  # on request
    found: float


class PredictResponse(Config):
    """Answers in the order of the request."""

    model: str
    version: str
    predictions: list[Prediction]


class VideoSeen(Config):
    """What was seen in a video. `found`: by part, the share of frames in which it was detected."""

    frames: int
    seconds: float  # from the first frame to the last
    width: int
    height: int
    found: dict[str, float]
    same_extractor: bool  # false, where settings allow it: the bundle learned from landmarks of another


class VideoResponse(PredictResponse):
    """The answer for a video; on request with `landmarks`, `time_ms` and `aspect`, which are a body of :predict."""

    video: VideoSeen
    landmarks: dict[str, list[Any]] | None = None
    time_ms: list[float] | None = None
    aspect: float | None = None


class ModelSummary(Config):
    """One bundle of the list. `on_demand`: it is in the registry, and loaded when it is asked."""

    name: str
    version: str
    precision: str | None = None
    share: float | None = None
    shadow: bool = False
    on_demand: bool = False


AnyConfig = TypeVar("AnyConfig", bound=Config)


def query(values: Mapping[str, str], model: type[AnyConfig]) -> AnyConfig:
    """Query parameters as `model`.

    Raises:
        BadInputError: an unknown name, or a value out of its range.
    """
    if unknown := set(values) - set(model.model_fields):
        raise BadInputError(
            f"unknown query parameter {sorted(unknown)[0]!r}; there are {', '.join(model.model_fields)}"
        )
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInputError(f"query parameter {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


class StreamTold(Config):
    """What a stream's client is told, one JSON object a message. All times are the stream's own, in seconds."""


class Ready(StreamTold):
    """First of all: who answers, and how (see `docs/bundle.md` for `stream`). Limits are of each message."""

    type: Literal["ready"] = "ready"
    model: str
    version: str
    task: str
    labels: tuple[str, ...]
    parts: tuple[str, ...]
    stream: Streaming
    message_bytes: int
    message_frames: int


class EventTold(StreamTold):
    """Something was done; `at_s`: time of the frame that made it certain."""

    type: Literal["event"] = "event"
    label: str
    prob: float
    start_s: float
    end_s: float
    at_s: float


class Probabilities(StreamTold):
    """What one window says, on request. In which too little was seen: no label, and `found` is 0."""

    type: Literal["probabilities"] = "probabilities"
    start_s: float
    end_s: float
    label: str | None = None
    probabilities: dict[str, float] = Field(default_factory=dict)
    glosses: list[str] | None = None
    found: float = 0.0


class LandmarksTold(StreamTold):
    """Of a live stream: what was seen in a picture; x and y are divided by its width and height."""

    type: Literal["landmarks"] = "landmarks"
    time_s: float
    aspect: float
    parts: dict[str, list[list[float]] | None]  # points as (x, y); null: not seen
    ms: float  # from the picture's coming to its landmarks


class StreamReset(StreamTold):
    """The stream begins anew after `at_s`: no frame came for too long, or its clock went back."""

    type: Literal["reset"] = "reset"
    reason: Literal["gap", "clock"]
    at_s: float


class StreamError(StreamTold):
    """The stream ends because of this."""

    type: Literal["error"] = "error"
    problem: Problem


class Closing(StreamTold):
    """The last message of a stream that its client ended, or left idle."""

    type: Literal["closing"] = "closing"
    reason: Literal["end", "idle"]
    windows: int
    skipped_windows: int  # the client was faster than the model
    dropped_probabilities: int  # the client read too slowly
    dropped_frames: int = 0  # of a live stream: a newer one came while the detector was busy
