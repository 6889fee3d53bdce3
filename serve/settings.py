"""How bundles are served. In config.yaml it is the deployment's `user_config`, which changes without a restart."""

from pydantic import Field

from sigflow.bundle import PrecisionName
from sigflow.config import Config


class Served(Config):
    """A bundle, and which requests it answers.

    Attributes:
        bundle: its folder, local or s3:// or gs://.
        share: of the requests that name the model without a version: its part among the versions of that name.
        shadow: it answers nobody; a copy of each request goes to it, and how often it agrees is counted.
    """

    bundle: str
    precision: PrecisionName = "fp32"
    share: float = Field(default=1.0, ge=0)
    shadow: bool = False


class Limits(Config):
    """What a request may ask for at the most."""

    body_bytes: int = Field(default=32 << 20, gt=0)
    clips: int = Field(default=256, gt=0)
    frames: int = Field(default=10_000, gt=0)  # of a clip
    padded_frames: int = Field(default=50_000, gt=0)  # clips x frames of the longest: what a batch takes in memory
    waiting_clips: int = Field(default=512, gt=0)  # of a replica; more are refused with 503
    deadline_s: float = Field(default=10.0, gt=0)  # of an answer; later it is 504
    streams: int = Field(default=64, ge=0)  # of a replica at a time; more are refused
    stream_message_bytes: int = Field(default=1 << 20, gt=0)
    stream_message_frames: int = Field(default=512, gt=0)
    stream_fps: float = Field(default=240.0, gt=0)  # by the stream's own clock, over a window; more end it
    stream_idle_s: float = Field(default=60.0, gt=0)  # without a message; then it is ended
    stream_unsent: int = Field(default=256, gt=1)  # messages that its client does not read; more end it
    stream_send_s: float = Field(default=10.0, gt=0)  # that its client does not read at all; then it is ended


class Settings(Config):
    """Everything that a replica is told. `keys`: a file of hashed API keys; none: everybody may ask."""

    bundles: tuple[Served, ...] = ()
    limits: Limits = Limits()
    batch_frames: int = Field(default=8_192, gt=0)  # clips x frames of the longest, of one run of the graph
    threads: int = Field(default=1, gt=0)  # of a run of the graph
