"""Recorded clips: CLIPS/<subject>/<label>/<number>.webm, any of it local or in object storage.

A number is claimed by an empty file with a name of its own, and whoever sees another claim on it gives way: so two
replicas that store at once get two numbers, also where storage knows no lock. A claim that a kill left behind costs
its number. Names that begin with a dot are no videos to extraction, nor to anyone here.
"""

import errno
import random
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from serve.problems import BadInputError, ProblemError
from sigflow.errors import UserError
from sigflow.landmarks.manifest import VIDEO_SUFFIXES
from sigflow.storage import TEMPORARY, Location, Stored

MEDIA = {".webm": "video/webm", ".mp4": "video/mp4"}
_MATROSKA = b"\x1a\x45\xdf\xa3"
_CLAIM = ".claim-"
_TRIES = 50
_WAIT_S = 0.05  # at the most, of who gave way, until the next try
_NAME_BYTES = 200  # file systems end at 255, and encrypted ones earlier
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Recorded:
    """A clip's video; `clip_id` as extraction calls it."""

    number: int
    clip_id: str
    stored: Stored


def folder_of(clips: Location, subject: str, label: str) -> Location:
    """Where the clips of one label by one subject lie.

    Raises:
        BadInputError: a name that no file system could hold, or that would lead elsewhere.
    """
    return clips / _checked("subject", subject) / _checked("label", label)


def counts(clips: Location) -> dict[str, dict[str, int]]:
    """How many videos there are, by subject and label; of all that extraction would read, whoever put it there."""
    found: dict[str, dict[str, int]] = {}
    with told():
        files = clips.files(recursive=True)
    for file in files:
        *folders, name = file.uri[len(clips.uri.rstrip("/")) + 1 :].split("/")
        if len(folders) == 2 and _is_video(name):
            of_subject = found.setdefault(folders[0], {})
            of_subject[folders[1]] = of_subject.get(folders[1], 0) + 1
    return found


def recorded(clips: Location, subject: str, label: str) -> list[Recorded]:
    """The clips that have a number, in its order."""
    place = folder_of(clips, subject, label)
    with told():
        listing = place.listing()
    numbered = [(_number(stored.location.name), stored) for stored in listing if _is_video(stored.location.name)]
    return [
        Recorded(number, f"{subject}/{label}/{stored.location.name}", stored)
        for number, stored in sorted(numbered, key=lambda pair: pair[0] or 0)
        if number
    ]


def find(clips: Location, subject: str, label: str, number: int) -> Recorded:
    """That clip.

    Raises:
        ProblemError: 404, there is none.
    """
    for clip in recorded(clips, subject, label):
        if clip.number == number:
            return clip
    raise ProblemError(404, f"no clip {number} of this subject and label")


def store(clips: Location, subject: str, label: str, video: bytes) -> Recorded:
    """Keep the video under the next free number; whole, or not at all.

    Raises:
        ProblemError: 507, no space is left; 503, the folder cannot be written into.
    """
    place = folder_of(clips, subject, label)
    suffix = ".webm" if video.startswith(_MATROSKA) else ".mp4"
    with told():
        with _claimed(place) as number:
            (place / f"{number}{suffix}").write_bytes(video)
        return find(clips, subject, label, number)


@contextmanager
def told() -> Iterator[None]:
    """Storage that fails, in words that name no path.

    Raises:
        ProblemError: 507 or 503; 422, a name that this file system refuses.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ProblemError(507, "no space is left where clips are kept; free some, then record again") from error
        if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
            raise BadInputError(
                "the file system of this server cannot hold such a name; choose a shorter one"
            ) from error
        why = error.strerror or type(error).__name__
        raise ProblemError(503, f"the folder of recordings does not answer ({why}); try again") from error


def refuse_unwritable(folder: Location) -> None:
    """Before anything is recorded.

    Raises:
        UserError: no file can be made in the folder.
    """
    probe = folder / f"{TEMPORARY}probe-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"")
        probe.delete()
    except OSError as error:
        raise UserError(f"cannot write into {folder}: {error.strerror or error}; choose another --page DIR") from error


@contextmanager
def _claimed(place: Location) -> Iterator[int]:
    for _ in range(_TRIES):
        number = max((_number(file.name) or 0 for file in place.files()), default=0) + 1
        claim = place / f"{_CLAIM}{number}-{uuid.uuid4().hex}"
        claim.write_bytes(b"")
        try:
            names = {file.name for file in place.files()} - {claim.name}
            if not any(_number(name) == number for name in names):
                yield number
                return
        finally:
            claim.delete()
        time.sleep(random.uniform(0, _WAIT_S))  # noqa: S311  # no secret: two that gave way must not meet again
    raise ProblemError(503, "too many record this label at once; try again", {"Retry-After": "1"})


def _number(name: str) -> int | None:
    """Of 12.webm, and of a claim's 12-abc; None: it has none."""
    claim = name.startswith(_CLAIM)
    text = name.removeprefix(_CLAIM).partition("-")[0] if claim else PurePosixPath(name).stem
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not name.startswith(".")


def _checked(what: str, name: str) -> str:
    if not name.strip():
        raise BadInputError(f"give a {what}")
    if any(unicodedata.category(each) in ("Cc", "Cs") for each in name):
        raise BadInputError(f"the {what} has characters that cannot be shown; use letters, digits and spaces")
    if "/" in name:
        raise BadInputError(f"the {what} has a '/', which cannot stand in a file's name; use '-' or '_'")
    if name.startswith("."):
        raise BadInputError(f"the {what} begins with a dot, as hidden files do; begin with a letter")
    if len(name.encode()) > _NAME_BYTES:
        raise BadInputError(f"the {what} is over {_NAME_BYTES} bytes; choose a shorter one")
    return name
