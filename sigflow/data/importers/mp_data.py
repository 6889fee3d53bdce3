"""`MP_Data/<word>/<sequence>/<frame>.npy`: one vector of MediaPipe Holistic's landmarks per frame.

1662 numbers are pose 33 x 4, face 468 x 3, left hand 21 x 3, right hand 21 x 3; 258 are the same without the face.
Zeros mean "not detected". The layout says nothing of fps and frame size: both are assumed.

Source: the many projects after https://github.com/nicknochnack/ActionDetectionforSignLanguage.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from sigflow.data.importers.arrays import is_real, read_exactly, read_header, to_float32
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
from sigflow.data.importers.layouts import VECTOR_PARTS, split_vectors
from sigflow.errors import UserError
from sigflow.storage import Location, locate


@dataclass(frozen=True)
class Item:
    """One sequence: its folder (`identity.source`) and the names of its frames' files, in any order.

    Without frames it is a file that lies where no sequence does, planned so that it is not passed over in silence.
    """

    identity: Identity
    frames: tuple[str, ...]


def plan(source: Location, options: ImportOptions) -> list[Item]:
    """Sequences below `source`: `<word>/<sequence>/` or `<subject>/<word>/<sequence>/`.

    Folders without a frame are no sequences: recorders make them all beforehand. `options.subject` goes before a
    folder's name.

    Raises:
        UserError: no .npy file, or folders of both depths, or deeper ones, so that words cannot be told from subjects.
    """
    sequences: dict[str, list[str]] = defaultdict(list)
    strays = []
    for name in files_below(source, ".npy"):
        folder, _, file = name.rpartition("/")
        if "/" in folder:
            sequences[folder].append(file)
        else:
            strays.append(name)
    depths = sorted({folder.count("/") + 1 for folder in sequences})
    if len(depths) != 1 or depths[0] > 3:
        raise UserError(
            f"{source} has frames {' and '.join(map(str, depths)) or 'less than 2'} folders deep; arrange all "
            "<word>/<sequence>/<frame>.npy or all <subject>/<word>/<sequence>/<frame>.npy"
        )
    items = []
    for folder, files in sorted(sequences.items()):
        *above, word, _ = PurePosixPath(folder).parts
        # Whoever gives the folder above MP_Data has not named a subject by that.
        subject = above[0] if above and above[0].casefold() != "mp_data" else None
        place = (source / folder).uri
        identity = Identity(clip_id=folder, source=place, label=word, subject=options.subject or subject)
        items.append(Item(identity, tuple(sorted(files))))
    return items + [Item(Identity(clip_id=name, source=(source / name).uri), ()) for name in strays]


def read(item: Item, options: ImportOptions) -> Iterator[ImportedClip | ImportFailure]:
    """The one clip of the item: pose with visibility, hands, and with 1662 numbers the face (its irises NaN).

    One bad frame fails its whole sequence: a gap closed up would be a jump in time.
    """
    yield attempt(item.identity, lambda: _read(item, options))


def _read(item: Item, options: ImportOptions) -> ImportedClip:
    if not item.frames:
        raise ClipImportError("shape", "it lies in no <word>/<sequence>/ folder")
    folder = locate(item.identity.source)
    vectors = [_frame(folder / name) for name in _in_order(item.frames)]
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) > 1:
        raise ClipImportError("shape", f"its frames have {' and '.join(map(str, sizes))} numbers; one layout is meant")
    return imported(
        item.identity,
        split_vectors(np.stack(vectors)),
        fps=options.fps,
        width=options.width,
        height=options.height,
        extractor=fingerprint("mp_data", options, "fps", "width", "height", layout=sizes[0]),
    )


def _in_order(names: tuple[str, ...]) -> list[str]:
    """By number (2 before 10). A gap or a repetition means that frames were lost or mixed up."""
    by_number: dict[int, str] = {}
    for name in names:
        stem = PurePosixPath(name).stem
        if not (stem.isascii() and stem.isdigit()):
            raise ClipImportError("shape", f"{name} is no frame: its name is not a number")
        if by_number.setdefault(int(stem), name) != name:
            raise ClipImportError("shape", f"{by_number[int(stem)]} and {name} are the same frame")
    numbers = sorted(by_number)
    for number, following in pairwise(numbers):
        if following != number + 1:
            raise ClipImportError("shape", f"frames are missing: {following} follows {number}")
    return [by_number[number] for number in numbers]


def _frame(file: Location) -> np.ndarray:
    """(1662,) or (258,), float32, finite. The size is checked before the numbers are read."""
    with file.open() as stream:
        try:
            header = read_header(stream)
            if not is_real(header.dtype) or len(header.shape) != 1 or header.shape[0] not in VECTOR_PARTS:
                raise ClipImportError(
                    "shape", f"it holds {header.dtype} of shape {header.shape}, not 1662 or 258 numbers"
                )
            values = np.frombuffer(read_exactly(stream, header.num_bytes), header.dtype)
        except (ValueError, EOFError) as error:
            raise ClipImportError("read", f"{file.name}: {error}") from error
        except ClipImportError as problem:
            raise ClipImportError(problem.stage, f"{file.name}: {problem}") from problem
    vector = to_float32(values)
    if not np.isfinite(vector).all():
        raise ClipImportError("shape", f"{file.name} holds numbers that are not finite")
    return vector
