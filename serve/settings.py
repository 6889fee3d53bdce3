"""How bundles are served. In config.yaml it is the deployment's `user_config`, which changes without a restart."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from serve.page.recordings import refuse_unwritable
from sigflow.bundle import PrecisionName, read_bundle
from sigflow.config import Config
from sigflow.errors import UserError
from sigflow.storage import locate

BUNDLES = "bundles"  # below a page's folder: the registry of what was trained there


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
    json_bytes: int = Field(default=8 << 20, gt=0)  # of JSON, which takes up to 30 times that while it is read
    body_s: float = Field(default=30.0, gt=0)  # until the whole body is there; later it is 408
    clips: int = Field(default=256, gt=0)
    frames: int = Field(default=10_000, gt=0)  # of a clip
    padded_frames: int = Field(default=50_000, gt=0)  # clips x frames of the longest: what a batch takes in memory
    waiting_clips: int = Field(default=512, gt=0)  # of a replica; more are refused with 503
    deadline_s: float = Field(default=10.0, gt=0)  # of an answer; later it is 504
    stuck_s: float = Field(default=60.0, gt=0)  # of one run of the graph; Ray replaces a replica that takes longer
    # Of a replica; each process that reads videos takes a core, and with 0 of them none are read.
    video_workers: int = Field(default=1, ge=0)
    waiting_videos: int = Field(default=4, ge=0)  # beside those that are read; more are refused with 503
    video_deadline_s: float = Field(default=60.0, gt=0)  # from the first byte to the landmarks
    video_bytes: int = Field(default=64 << 20, gt=0)
    video_seconds: float = Field(default=60.0, gt=0)
    video_frames: int = Field(default=3600, gt=0)
    video_pixels: int = Field(default=4096 * 2304, gt=0)  # of a frame
    video_memory_mb: int = Field(default=2048, gt=0)  # of a worker
    streams: int = Field(default=64, ge=0)  # of a replica at a time; more are refused
    live_streams: int = Field(default=2, ge=0)  # of a replica; each has a process that takes a core's part; 0: none
    stream_message_bytes: int = Field(default=1 << 20, gt=0)
    stream_message_frames: int = Field(default=512, gt=0)
    stream_fps: float = Field(default=240.0, gt=0)  # by the stream's own clock, over a window; more end it
    stream_idle_s: float = Field(default=60.0, gt=0)  # without a message; then it is ended
    stream_unsent: int = Field(default=256, gt=1)  # messages that its client does not read; more end it
    stream_send_s: float = Field(default=10.0, gt=0)  # that its client does not read at all; then it is ended


class Registry(Config):
    """Published bundles that are loaded when they are first asked for.

    Attributes:
        uri: the registry, NAME/VERSION/ below it, local or s3:// or gs://.
        max_loaded: models; whichever was not asked for the longest goes first.
        refresh_s: how long what it holds is remembered; what is published meanwhile is not found yet.
    """

    uri: str
    precision: PrecisionName = "fp32"
    max_loaded: int = Field(default=16, gt=0)
    refresh_s: float = Field(default=30.0, gt=0)


class Access(Config):
    """Who may ask. Keys stand in the file, in `keys` and in the environment's SIGFLOW_API_KEYS; none: this machine.

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


class Page(Config):
    """The page at `/`: try what is served, and where a folder is given also record clips and train on them.

    Attributes:
        folder: of what is recorded and learnt, local or s3:// or gs://; `serve.page` says what lies in it. Its bundles
            are the registry where no other one is set.
        target: clips of each label that one should have.
        prepare_s: to get ready, before each clip.
        record_s: length of a clip.
    """

    folder: str | None = None
    target: int = Field(default=75, gt=0)
    prepare_s: float = Field(default=2.0, ge=0)
    record_s: float = Field(default=4.0, gt=0)


class Settings(Config):
    """Everything that a replica is told."""

    bundles: tuple[Served, ...] = ()
    registry: Registry | None = None
    page: Page | None = None
    generation: int = 0  # means nothing; another number makes replicas look at the folders again
    draining: bool = False  # about to stop: /readyz says 503, so that no new clients come; requests are answered still
    access: Access = Access()
    limits: Limits = Limits()
    batch_frames: int = Field(default=8_192, gt=0)  # clips x frames of the longest, of one run of the graph
    threads: int = Field(default=1, gt=0)  # of a run of the graph

    @model_validator(mode="before")
    @classmethod
    def _serve_what_the_page_makes(cls, values: Any) -> Any:
        page = values.get("page") if isinstance(values, Mapping) else None
        folder = page.folder if isinstance(page, Page) else page.get("folder") if isinstance(page, Mapping) else None
        if not folder or values.get("registry"):
            return values
        # Looked at often: who trains on the page wants to try what was made.
        return {**values, "registry": Registry(uri=f"{str(folder).rstrip('/')}/{BUNDLES}", refresh_s=2.0)}


def settings_of(values: Mapping[str, Any]) -> Settings:
    """Settings from JSON or YAML.

    Raises:
        UserError: an unknown key, or a value that is not allowed.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"settings: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def verify(settings: Settings) -> None:
    """Read what is to be served here first, so that bad bundles never reach a replica.

    Raises:
        UserError: nothing to serve, a bundle that is not whole, or a page's folder that cannot be written into.
    """
    if not settings.bundles and settings.registry is None:
        raise UserError("no bundle to serve; give the --out of jobs/ensemble.py, or --page DIR to make one")
    if settings.page and settings.page.folder:
        refuse_unwritable(locate(settings.page.folder))
    for served in settings.bundles:
        read_bundle(locate(served.bundle), served.precision)
