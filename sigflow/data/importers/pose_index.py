"""Who is who among `.pose` files: the index.csv of a sign lexicon, or the folders that they lie in."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
from pyarrow import csv

from sigflow.data.importers.clip import Identity
from sigflow.data.importers.folders import subject_and_label
from sigflow.errors import UserError
from sigflow.storage import Location, locate

_COLUMNS = ("path", "label", "words", "glosses", "subject", "split")


def identities(
    source: Location, files: Mapping[str, Location], subject: str | None
) -> Iterator[tuple[Identity, str | None]]:
    """Each file's identity, and why it cannot be told, if so.

    index.csv (the lexicons of https://github.com/ZurichNLP/spoken-to-signed-translation) has a column path, relative to
    itself, and label or words, glosses (space separated), subject and split, all optional; others are passed over, also
    start and end, which are times in the video before it was cut. A file may stand in several rows (one letter, two
    languages) if they agree; files without a row have no label; rows without a file are no clips.
    Without index.csv, folders are `<label>/<file>` or `<subject>/<label>/<file>`.
    """
    index = _index(source / "index.csv" if source.is_folder() else locate(source.uri.rsplit("/", 1)[0]) / "index.csv")
    folders = subject_and_label([*files], source) if index is None else {}
    for name, file in files.items():
        identity, problem = Identity(clip_id=name, source=file.uri), None
        if index is None:
            by, label = folders[name]
            identity = replace(identity, label=label, subject=by)
        elif name in index:
            first, *others = rows = index[name]
            if any(other != first for other in others):
                problem = f"index.csv has {len(rows)} rows for it that do not agree; leave it one"
            label, words, glosses, by, split = first
            named = tuple(glosses.split()) if glosses else None
            identity = replace(identity, label=label or words, glosses=named, subject=by, split=split)
        yield replace(identity, subject=subject or identity.subject), problem


def _index(file: Location) -> dict[str, list[tuple[str | None, ...]]] | None:
    """Path to its rows, in the order of `_COLUMNS`."""
    if not file.exists():
        return None
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(_COLUMNS, pa.string()), include_columns=[*_COLUMNS], include_missing_columns=True,
        strings_can_be_null=True, null_values=[""],
    )  # fmt: skip
    try:
        rows = csv.read_csv(io.BytesIO(file.read_bytes()), convert_options=convert)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not a readable CSV: {error}") from error
    if rows["path"].null_count:
        raise UserError(f"{file} needs a column 'path', filled in every row")
    index: dict[str, list[tuple[str | None, ...]]] = {}
    for path, *values in zip(*(rows[name].to_pylist() for name in _COLUMNS), strict=True):
        index.setdefault(path, []).append(tuple(values))
    return index
