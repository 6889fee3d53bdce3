"""How far a job of several stages is, as its learn.json says: for whoever watches it, without Ray or torch.

The file is replaced every few seconds while the job runs. So one that says "running" and was not replaced for a while
is of a job that was killed, with its machine perhaps.
"""

import time
from typing import Any, Literal, TypeAlias, get_args

from pydantic import ValidationError

from sigflow.config import Config
from sigflow.storage import Location

FILE = "learn.json"
SAY_EVERY_S = 2.0
SILENT_S = 30.0  # after which a job counts as gone; imports hold up the saying for some seconds
# The recipes that learn from folders of labelled videos; not sentences, nor channels that no video gives.
RecipeName: TypeAlias = Literal[
    "recorded_gestures", "isolated_gestures", "unified_signs", "fall_detection", "lip_reading", "lip_reading_v2",
    "lip_reading_v3",
]  # fmt: skip
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)
Until: TypeAlias = Literal["audit", "bundle"]
StageName: TypeAlias = Literal["extract", "audit", "train", "ensemble", "publish"]
STAGES: tuple[StageName, ...] = get_args(StageName)


class Stage(Config):
    """One of them. `done` of `of`: clips, or folds; `said`: its last line of progress."""

    name: StageName
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    seconds: float = 0.0
    done: int = 0
    of: int = 0
    said: str = ""


class Found(Config):
    """A finding of the audit: what was seen, and how to mend it."""

    code: str
    severity: str
    message: str
    mend: str


class Job(Config):
    """A job, and what came of it."""

    id: str
    state: Literal["running", "done", "failed", "stopped"] = "running"
    until: Until
    stages: tuple[Stage, ...]
    findings: tuple[Found, ...] = ()
    error: str | None = None
    result: dict[str, Any] | None = None

    def ended(self, state: Literal["failed", "stopped"], error: str | None = None) -> "Job":
        """The job as it is when it ended before its end; a stage that was stopped is to be done still."""
        was = {"state": "failed" if state == "failed" else "waiting"}
        stages = [stage.model_copy(update=was) if stage.state == "running" else stage for stage in self.stages]
        return self.model_copy(update={"state": state, "error": error, "stages": tuple(stages)})


def new_job(job_id: str, until: Until) -> Job:
    """One that begins."""
    names = STAGES[: STAGES.index("audit") + 1] if until == "audit" else STAGES
    return Job(id=job_id, until=until, stages=tuple(Stage(name=name) for name in names))


def write_job(place: Location, job: Job) -> None:
    """Replace the file at once."""
    (place / FILE).write_text(job.model_dump_json(indent=1))


def read_job(place: Location) -> Job | None:
    """The last job of this folder, as it says itself; None: there was none, or of another sigflow."""
    try:
        return Job.model_validate_json((place / FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def is_silent(place: Location) -> bool:
    """Whether the file was not replaced for so long that a job which it calls running is gone."""
    heard_ms = [stored.modified_ms for stored in place.listing(FILE) if stored.location.name == FILE]
    return not heard_ms or time.time() * 1000 - heard_ms[0] > SILENT_S * 1000
