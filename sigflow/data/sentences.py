"""Sentences composed of isolated clips of one subject, so that CTC can be trained where nobody signed sentences.

Between two clips a transition is interpolated: the last seen landmarks of each part glide to the first seen ones of the
next clip. Composed sentences lack what fluent signing does to signs (shortening, assimilation): a model trained on
them has yet to be tried on real ones.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sigflow.data.clips import Clips
from sigflow.errors import UserError
from sigflow.topology import SIGNING

_BEGINNING_S = 0.1
NOTHING = "-"  # a label, but never a gloss: such clips are pauses


def compose(
    clips: Clips,
    count: int,
    *,
    glosses: tuple[int, int] = (2, 6),
    transition_s: tuple[float, float] = (0.1, 0.3),
    pause: float = 0.2,
    seed: int = 0,
) -> Clips:
    """`count` sentences of `glosses` (least, most) random clips, spread over subjects by how many clips they have.

    `pause`: how likely a clip labelled "-" of the same subject stands between two glosses, where there is one. The
    columns: clip_id `composed/<number>`, glosses, subject, label null; times go on with the clips' own steps. Of each
    frame `topology.SIGNING` says whether a gloss is being signed, and whether it is in its first tenth of a second.

    Raises:
        UserError: no subject has two labelled clips.
    """
    rng = np.random.default_rng(seed)
    labels, subjects = clips.column("label"), clips.column("subject")
    by_subject: dict[str | None, list[int]] = {}
    pauses: dict[str | None, list[int]] = {}
    for row, (label, subject) in enumerate(zip(labels, subjects, strict=True)):
        if label is not None:
            (pauses if label == NOTHING else by_subject).setdefault(subject, []).append(row)
    people = [subject for subject, rows in by_subject.items() if len(rows) >= 2]
    if not people:
        raise UserError("no subject has two labelled clips to compose sentences of")
    share = np.array([len(by_subject[subject]) for subject in people], float)
    built: list[tuple[dict[str, Tensor], Tensor]] = []
    records = []
    for number in range(count):
        subject = people[rng.choice(len(people), p=share / share.sum())]
        chosen = rng.choice(by_subject[subject], int(rng.integers(glosses[0], glosses[1] + 1))).tolist()
        pieces: list[int] = []
        for place, row in enumerate(chosen):
            if place and subject in pauses and rng.random() < pause:
                pieces.append(int(rng.choice(pauses[subject])))
            pieces.append(row)
        built.append(_joined(clips, pieces, rng.uniform(*transition_s, len(pieces))))
        first = clips.table.slice(chosen[0], 1).to_pylist()[0]
        records.append(
            first
            | {
                "clip_id": f"composed/{number:06d}",
                "source": None,
                "label": None,
                "glosses": [labels[row] for row in chosen],
                "num_frames": len(built[-1][1]),
            }
        )
    lengths = torch.tensor([0, *(len(times) for _, times in built)])
    return Clips(
        pa.Table.from_pylist(records, schema=clips.table.schema),
        lengths.cumsum(0),
        torch.cat([times for _, times in built]),
        torch.tensor([float(record["width"]) / record["height"] for record in records]),
        {part: torch.cat([parts[part] for parts, _ in built]) for part in (*clips.parts, SIGNING)},
    )


def _joined(clips: Clips, rows: Sequence[int], pauses_s: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
    """The clips one after the other, with a transition after each but the last."""
    parts: dict[str, list[Tensor]] = {part: [] for part in (*clips.parts, SIGNING)}
    labels = clips.column("label")
    times: list[Tensor] = []
    now = 0.0
    for place, row in enumerate(rows):
        span = slice(int(clips.offsets[row]), int(clips.offsets[row + 1]))
        own_s = clips.time_s_S[span]
        step_s = float(own_s.diff().median()) if len(own_s) > 1 else 1 / 30
        times.append(own_s - own_s[0] + now)
        now = float(times[-1][-1]) + step_s
        for part, points in clips.parts.items():
            parts[part].append(points[span])
        signed = torch.full_like(own_s, float(labels[row] != NOTHING))
        parts[SIGNING].append(torch.stack([signed, signed * (own_s - own_s[0] < _BEGINNING_S)], 1))
        if place + 1 == len(rows):
            break
        count = max(1, round(float(pauses_s[place]) / step_s))
        times.append(now + step_s * torch.arange(count))
        parts[SIGNING].append(torch.zeros(count, 2))
        now += step_s * count
        following = slice(int(clips.offsets[rows[place + 1]]), int(clips.offsets[rows[place + 1] + 1]))
        for part, points in clips.parts.items():
            parts[part].append(_glide(points[span], points[following], count))
    return {part: torch.cat(pieces) for part, pieces in parts.items()}, torch.cat(times)


def _glide(before: Tensor, after: Tensor, count: int) -> Tensor:
    """`count` frames from the last seen frame of one clip to the first seen one of the next; missing without either."""
    ends = []
    for points, which in ((before, -1), (after, 0)):
        seen = (~points.flatten(1).isnan().all(1)).nonzero().flatten()
        if not len(seen):
            return torch.full((count, *before.shape[1:]), torch.nan)
        ends.append(points[seen[which]])
    share = (torch.arange(count) + 1) / (count + 1)
    return torch.lerp(ends[0][None], ends[1][None], share.reshape(-1, *[1] * (before.ndim - 1)))
