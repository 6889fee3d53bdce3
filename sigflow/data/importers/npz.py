"""npz files of whole data sets: x (N, T, F) or (N, T, P, 3), y (N,), and optionally lengths (N,) and subject (N,).

F = 1662 or 258 is read as the vectors of `MP_Data`; P as `layouts.POINT_PARTS` says (21 points are taken for a right
hand, 42 for left and right); everything else as raw channels. In parts, zeros throughout a frame, and NaN, mean "not
detected"; raw channels are left as they are. fps and frame size are assumed. `archive` states the bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sigflow.data.importers.archive import array_names, column, open_archive, x_header, x_rows
from sigflow.data.importers.arrays import to_float32
from sigflow.data.importers.clip import (
    ClipImportError,
    Identity,
    ImportedClip,
    ImportFailure,
    ImportOptions,
    attempt,
    fingerprint,
    imported,
)
from sigflow.data.importers.folders import files_below
from sigflow.data.importers.layouts import POINT_PARTS, VECTOR_PARTS, split_points, split_vectors
from sigflow.errors import UserError
from sigflow.storage import Location, locate

_ITEM_BYTES = 32 << 20  # large enough that unpacking what comes before an item is seldom the most of its work
_ITEM_CLIPS = 1024


@dataclass(frozen=True)
class Item:
    """Clips `first` to `last` (excluded) of one file; all 0 if its header could not be read, and `read` says why."""

    source: str
    name: str  # the file's path below what was given
    first: int
    last: int

    def clip_id(self, row: int) -> str:
        """`<file>#<row>`, its digits filled up so that ids sort as rows do."""
        return f"{self.name}#{row:06d}"


@dataclass(frozen=True, eq=False)
class _Rows:
    """What an item's clips are made of; every array has one row per clip."""

    x: np.ndarray
    labels: list[str | None]
    subjects: list[str | None]
    lengths: list[int]


def plan(source: Location, options: ImportOptions) -> list[Item]:
    """Ranges of clips of the npz files below `source` (or of that one file); their headers are read, nothing else.

    Raises:
        UserError: no npz file, or one without the array that `options.subject_key` names.
    """
    items: list[Item] = []
    for name, file in files_below(source, ".npz").items():
        whole = Item(file.uri, name, 0, 0)
        found = attempt(Identity(clip_id=name, source=file.uri), partial(_describe, file))
        if isinstance(found, ImportFailure):
            items.append(whole)
            continue
        (count, step), names = found
        if options.subject_key not in (None, *names):
            raise UserError(f"{file} has no array {options.subject_key} (--subject-key); it has {', '.join(names)}")
        items += [replace(whole, first=row, last=min(row + step, count)) for row in range(0, count, step)]
    return items


def read(item: Item, options: ImportOptions) -> Iterator[ImportedClip | ImportFailure]:
    """The item's clips, cut to their lengths.

    Columns are those of the parts, `pose_visibility` for the vectors, or `raw` (T, F) or (T, 3 * P) for raw channels.
    What is wrong with the file fails each of the clips; an infinite number or an impossible length fails its clip.
    """
    rows = attempt(Identity(clip_id=item.name, source=item.source), lambda: _load(item, options))
    if isinstance(rows, ImportFailure):
        yield from (replace(rows, clip_id=item.clip_id(row)) for row in range(item.first, item.last))
        if item.last == 0:
            yield rows
        return
    for number, clip in enumerate(rows.x):
        identity = Identity(
            clip_id=item.clip_id(item.first + number),
            source=item.source,
            label=rows.labels[number],
            subject=rows.subjects[number],
        )
        length = rows.lengths[number]
        yield attempt(identity, partial(_clip, identity, clip, length, options))


def _describe(file: Location) -> tuple[tuple[int, int], list[str]]:
    """Clips in the file, clips of an item; and the arrays' names."""
    with open_archive(file) as archive:
        header = x_header(archive)
        clip_bytes = header.num_bytes // header.shape[0]
        return (header.shape[0], min(max(_ITEM_BYTES // clip_bytes, 1), _ITEM_CLIPS)), array_names(archive)


def _load(item: Item, options: ImportOptions) -> _Rows:
    with open_archive(locate(item.source)) as archive:
        count, max_length = x_header(archive).shape[:2]
        names, rows = array_names(archive), slice(item.first, item.last)
        key = options.subject_key or ("subject" if "subject" in names else None)
        subjects = [options.subject] * (item.last - item.first)
        if key is not None and options.subject is None:
            subjects = _texts(column(archive, key, count)[rows])
        lengths = [max_length] * len(subjects)
        if "lengths" in names:
            lengths = _whole_numbers(column(archive, "lengths", count)[rows])
        return _Rows(
            x_rows(archive, item.first, item.last), _texts(column(archive, "y", count)[rows]), subjects, lengths
        )


def _clip(identity: Identity, x: np.ndarray, length: int, options: ImportOptions) -> ImportedClip:
    if not 1 <= length <= len(x):
        raise ClipImportError("shape", f"its length is {length}; 1 to {len(x)} is possible")
    values = to_float32(x[:length])
    if np.isinf(values).any():
        raise ClipImportError("shape", "it holds infinite numbers")
    size = values.shape[1]
    layout: dict[str, str | int]
    match values.ndim:
        case 2 if size in VECTOR_PARTS:
            columns, layout = split_vectors(values), {"layout": size}
        case 3 if size in POINT_PARTS:
            columns, layout = split_points(values), {"points": size, "parts": " ".join(POINT_PARTS[size])}
        case _:
            columns = {"raw": values.reshape(length, -1)}
            layout = {"raw": columns["raw"].shape[1]}
    return imported(
        identity,
        columns,
        fps=options.fps,
        width=options.width,
        height=options.height,
        extractor=fingerprint("npz", options, "fps", "width", "height", **layout),
    )


def _texts(values: np.ndarray) -> list[str | None]:
    """Labels and subjects as text; an empty one is unknown."""
    texts = (value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())
    return [text or None for text in texts]


def _whole_numbers(values: np.ndarray) -> list[int]:
    if values.dtype.kind not in "iu":
        raise ClipImportError("shape", f"lengths holds {values.dtype}, not whole numbers")
    lengths: list[Any] = values.tolist()
    return lengths
