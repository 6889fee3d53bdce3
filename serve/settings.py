"""How bundles are served. In config.yaml it is the deployment's `user_config`, which changes without a restart."""

from typing import Annotated

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
    json_bytes: int = Field(default=8 << 20, gt=0)  # of JSON, which takes up to 30 times that while it is read
    body_s: float = Field(default=30.0, gt=0)  # until the whole body is there; later it is 408
    clips: int = Field(default=256, gt=0)
    frames: int = Field(default=10_000, gt=0)  # of a clip
    padded_frames: int = Field(default=50_000, gt=0)  # clips x frames of the longest: what a batch takes in memory
    waiting_clips: int = Field(default=512, gt=0)  # of a replica; more are refused with 503
    deadline_s: float = Field(default=10.0, gt=0)  # of an answer; later it is 504


class Access(Config):
    """Who may ask. Keys stand in the file, in `keys` and in the environment's SIGFLOW_API_KEYS; none: everybody may.

    Attributes:
        keys_file: of hashed API keys, on every node that has a replica; read again when it changes.
        keys: lines as in that file.
        rate: requests/s of each key that has none of its own, and without keys of each client's address; of each
            replica. None: any number.
        burst: so many of them at once.
        cors: origins whose pages may ask, like https://example.org.
        open: without keys, answer other machines too.
    """

    keys_file: str | None = None
    keys: tuple[str, ...] = ()
    rate: float | None = Field(default=None, gt=0)
    burst: int = Field(default=20, gt=0)
    cors: tuple[Annotated[str, Field(pattern=r"^https?://[^/*]+$")], ...] = ()
    open: bool = False


class Settings(Config):
    """Everything that a replica is told."""

    bundles: tuple[Served, ...] = ()
    access: Access = Access()
    limits: Limits = Limits()
    batch_frames: int = Field(default=8_192, gt=0)  # clips x frames of the longest, of one run of the graph
    threads: int = Field(default=1, gt=0)  # of a run of the graph
