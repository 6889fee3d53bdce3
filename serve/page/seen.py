"""What was seen in a clip that was just recorded: warnings in words, and its landmarks, kept for the job that learns.

They are those that extraction would make of it, by the same detector in the same kind of process; so that who has
recorded for half an hour does not then wait for minutes until all of it is looked at again.
"""

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from serve.bodies.arrow import of_table
from serve.page.recordings import Recorded
from serve.settings import Limits
from sigflow.landmarks.detector import DetectorOptions
from sigflow.pipelines.commit import commit_block
from sigflow.storage import Location
from sigflow.topology import INPUT_SHAPES

OPTIONS = DetectorOptions()  # hands, as jobs/extract.py looks for them unless it is told otherwise
_HANDS = ("left_hand", "right_hand")
_LEAST_S, _LEAST_FRAMES = 0.5, 10
_LEAST_FPS = 8.0  # of a movement less is seen than most of it
_OFTEN = 0.5  # of the frames
# Of the picture, between two frames: a frozen picture's landmarks settle at 1.4e-4 or less, where they are compressed;
# those of rendered hands that move take steps of 1.5e-2.
_STILL = 3e-4


@dataclass(frozen=True)
class Seen:
    """What one should know of a clip at once."""

    seconds: float
    frames: int
    found: dict[str, float]
    warnings: list[str]


def look(row: pa.Table, limits: Limits) -> Seen:
    """What the row of landmarks says."""
    (clip,) = of_table(row, {part: INPUT_SHAPES[part] for part in _HANDS}, limits)
    there_HT = np.stack([~np.isnan(clip.parts[part]).all((1, 2)) for part in _HANDS])
    found = {part: round(float(there_T.mean()), 4) for part, there_T in zip(_HANDS, there_HT, strict=True)}
    seconds, frames = float(clip.time_s[-1] - clip.time_s[0]), len(clip.time_s)
    warnings = _of_pictures(seconds, frames) + _of_hands(float(there_HT.any(0).mean()))
    if not warnings and _is_still(clip.parts[max(found, key=lambda part: found[part])]):
        warnings.append("the picture stood still: is the camera covered, or in use by another program?")
    return Seen(round(seconds, 3), frames, found, warnings)


def keep(folder: Location, clip: Recorded, subject: str, label: str, row: pa.Table) -> None:
    """Put the clip's row where the next job finds it. What cannot be kept is looked at again by that job."""
    columns = {
        "clip_id": clip.clip_id, "source": clip.stored.location.uri, "source_bytes": clip.stored.bytes,
        "source_modified_ms": clip.stored.modified_ms, "label": label, "subject": subject,
    }  # fmt: skip
    for name, value in columns.items():
        field = row.schema.field(name)
        row = row.set_column(row.schema.get_field_index(name), field, pa.array([value], field.type))
    try:
        commit_block(folder, [clip.clip_id], [row], [])
    except OSError as error:
        logging.getLogger(__name__).warning("landmarks of a recorded clip were not kept: %s", error)


def forget(folder: Location, clip: Recorded) -> None:
    """The clip is discarded."""
    commit_block(folder, [clip.clip_id], [], [])


def _of_pictures(seconds: float, frames: int) -> list[str]:
    if seconds < _LEAST_S or frames < _LEAST_FRAMES:
        return [f"too short: {frames} frames in {seconds:.1f} s; record the whole movement"]
    if (fps := (frames - 1) / seconds) < _LEAST_FPS:
        return [f"the camera gave only {fps:.0f} frames a second; more light, or a smaller picture, gives more"]
    return []


def _of_hands(share: float) -> list[str]:
    if share == 0:
        return ["no hand was seen: keep it in the picture, in good light"]
    if share < _OFTEN:
        return [f"a hand was seen in {share:.0%} of the frames only: keep it in the picture from beginning to end"]
    return []


def _is_still(points_TP3: np.ndarray) -> bool:
    """Whether a hand's points hardly change between most of the frames that have it, as no living hand's do."""
    seen_FP3 = points_TP3[~np.isnan(points_TP3).all((1, 2))]
    steps_F = np.abs(np.diff(seen_FP3[..., :2], axis=0)).max((1, 2), initial=0)
    return len(steps_F) > 0 and bool(np.median(steps_F) < _STILL)
