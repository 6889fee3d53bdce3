"""Good clips, and ways to spoil them, one fault at a time."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.schema import CLIP_FIELDS


def hand_clips(*, takes: int = 13, labels: Sequence[str] = ("open_close", "pinch", "point")) -> Clips:
    """Six people, of whom three use the left hand; each label is a shape of its own that goes from one to another."""
    people = {"ada": False, "bo": True, "chi": False, "dee": True, "eli": False, "fay": True}
    shapes = {label: np.random.default_rng(number).normal(0, 0.12, (2, 21, 3)) for number, label in enumerate(labels)}
    records, times, left, right = [], [], [], []
    for number, (subject, is_left) in enumerate(people.items()):
        fps = (25, 30, 24, 15, 30, 25)[number]
        own = np.random.default_rng(100 + number).normal(0, 0.02, (21, 3))
        for label in labels:
            for take in range(takes):
                rng = np.random.default_rng([number, labels.index(label), take])
                count = int(rng.integers(20, 31))
                share = np.linspace(0, 1, count)[:, None, None] ** rng.uniform(0.7, 1.4)
                points = (1 - share) * shapes[label][0] + share * shapes[label][1] + own
                points = points + rng.normal(0, 0.01, (21, 3)) + rng.normal(0, 0.003, (count, 21, 3))
                points[:, 0] = rng.normal(0, 0.002, (count, 3))  # the wrist
                points = points * (-1, 1, 1) if is_left else points
                hand = (rng.uniform(0.4, 0.6, 3) * (1, 1, 0) + points * rng.uniform(0.8, 1.2)).astype(np.float32)
                hand[rng.random(count) < 0.05] = np.nan
                missing = np.full_like(hand, np.nan)
                left.append(hand if is_left else missing)
                right.append(missing if is_left else hand)
                times.append(np.arange(count, dtype=np.float32) / fps)
                records.append(_record(f"{subject}/{label}/{take}.mp4", label, subject, float(fps)))
    return Clips(
        pa.Table.from_pylist(records, schema=_SCHEMA),
        torch.tensor([0, *np.cumsum([len(clip) for clip in times])]),
        torch.from_numpy(np.concatenate(times)),
        torch.ones(len(records)),
        {"left_hand": torch.from_numpy(np.concatenate(left)), "right_hand": torch.from_numpy(np.concatenate(right))},
    )


def _record(clip_id: str, label: str, subject: str | None, fps: float) -> dict[str, object]:
    known = {"clip_id": clip_id, "label": label, "subject": subject, "fps": fps, "extractor": "made by the tests"}
    return {field.name: known.get(field.name) for field in _SCHEMA}


_SCHEMA = pa.schema(
    [field for field in CLIP_FIELDS if field.name in
     ("clip_id", "label", "glosses", "subject", "split", "fps", "extractor")]
)  # fmt: skip


def with_column(clips: Clips, name: str, values: Sequence[object]) -> Clips:
    """Clips with another column."""
    place = clips.table.schema.get_field_index(name)
    field = clips.table.schema.field(name)
    return replace(clips, table=clips.table.set_column(place, field, pa.array(values, field.type)))


def with_landmarks(clips: Clips, change: Callable[[Tensor, int], Tensor], rows: Sequence[int]) -> Clips:
    """Clips whose landmarks are other ones in `rows`."""
    parts = {part: points.clone() for part, points in clips.parts.items()}
    for row in rows:
        frames = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
        for points in parts.values():
            points[frames] = change(points[frames], row)
    return replace(clips, parts=parts)


def rows_of(clips: Clips, *, subject: str | None = None, label: str | None = None) -> list[int]:
    """Rows of one subject, one label, or both."""
    columns = zip(clips.column("subject"), clips.column("label"), strict=True)
    return [row for row, (who, what) in enumerate(columns) if subject in (None, who) and label in (None, what)]


def with_copy(clips: Clips, row: int, *, skip: int = 0, **other: object) -> Clips:
    """One clip once more, at the end, without its first `skip` frames, and with other columns."""
    both = clips.select([*range(len(clips)), row])
    if skip:
        start = int(both.offsets[-2])
        kept = torch.cat([torch.arange(start), torch.arange(start + skip, int(both.offsets[-1]))])
        both = replace(
            both,
            offsets=torch.cat([both.offsets[:-1], both.offsets[-1:] - skip]),
            time_s_S=both.time_s_S[kept],
            parts={part: points[kept] for part, points in both.parts.items()},
        )
    for name, value in ({"clip_id": "copy.mp4"} | other).items():
        both = with_column(both, name, [*both.table[name].to_pylist()[:-1], value])
    return both


def raw_clips(values: Sequence[np.ndarray], labels: Sequence[str], subjects: Sequence[str | None]) -> Clips:
    """Clips of channels of another origin, 30 frames a second."""
    lengths = [len(clip) for clip in values]
    count = len(values)
    named = enumerate(zip(labels, subjects, strict=True))
    records = [_record(f"raw#{row}", label, subject, 30.0) for row, (label, subject) in named]
    return Clips(
        pa.Table.from_pylist(records, schema=_SCHEMA),
        torch.tensor([0, *np.cumsum(lengths)]),
        torch.cat([torch.arange(length) / 30 for length in lengths]),
        torch.ones(count),
        {"raw": torch.from_numpy(np.concatenate(values).astype(np.float32))},
    )
