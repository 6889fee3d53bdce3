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
        allow_other_extractor: videos are answered though this installation cannot make such landmarks as the bundle was
            trained on (another MediaPipe, or imported data), only like ones; its accuracy on them is nobody's promise.
    """

    bundle: str
    precision: PrecisionName = "fp32"
    share: float = Field(default=1.0, ge=0)
    shadow: bool = False
    allow_other_extractor: bool = False


class Limits(Config):
    """What a request may ask for at the most."""

    body_bytes: int = Field(default=32 << 20, gt=0)
    clips: int = Field(default=256, gt=0)
    frames: int = Field(default=10_000, gt=0)  # of a clip
    padded_frames: int = Field(default=50_000, gt=0)  # clips x frames of the longest: what a batch takes in memory
    waiting_clips: int = Field(default=512, gt=0)  # of a replica; more are refused with 503
    deadline_s: float = Field(default=10.0, gt=0)  # of an answer; later it is 504
    video_workers: int = Field(
        default=1, ge=0
    )  # processes of a replica that read videos, a core each; 0: none are read
    waiting_videos: int = Field(default=4, ge=0)  # of a replica, beside those that are read; more are refused with 503
    video_deadline_s: float = Field(default=60.0, gt=0)  # from the first byte to the landmarks
    video_bytes: int = Field(default=64 << 20, gt=0)
    video_seconds: float = Field(default=60.0, gt=0)
    video_frames: int = Field(default=3600, gt=0)
    video_pixels: int = Field(default=4096 * 2304, gt=0)  # of a frame
    video_memory_mb: int = Field(default=2048, gt=0)  # of a worker


class Settings(Config):
    """Everything that a replica is told. `keys`: a file of hashed API keys; none: everybody may ask."""

    bundles: tuple[Served, ...] = ()
    limits: Limits = Limits()
    batch_frames: int = Field(default=8_192, gt=0)  # clips x frames of the longest, of one run of the graph
    threads: int = Field(default=1, gt=0)  # of a run of the graph
