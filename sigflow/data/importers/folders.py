"""What folders say of the files in them."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from sigflow.errors import UserError
from sigflow.storage import Location


def relative(file: Location, folder: Location) -> str:
    """The file's path below the folder."""
    return file.uri[len(folder.uri.rstrip("/")) + 1 :]


def files_below(source: Location, suffix: str) -> dict[str, Location]:
    """Files of that suffix by their path below `source`; a file is itself, by its name.

    Raises:
        UserError: there is none.
    """
    found = source.files(suffix, recursive=True) if source.is_folder() else [source]
    if not found or not found[0].name.endswith(suffix):
        raise UserError(f"{source} holds no {suffix} file; give a folder that does, or such a file")
    return {relative(file, source) if source.is_folder() else file.name: file for file in found}


def subject_and_label(names: Sequence[str], source: Location) -> dict[str, tuple[str | None, str | None]]:
    """`<label>/<name>` or `<subject>/<label>/<name>`, as for folders of videos; a bare `<name>` says nothing.

    Raises:
        UserError: the depths differ, or there are more levels than have a meaning.
    """
    depths = sorted({name.count("/") for name in names})
    if len(depths) > 1 or depths[0] > 2:
        raise UserError(
            f"{source} has files {' and '.join(map(str, depths))} folders deep; arrange all <label>/<file> or all "
            "<subject>/<label>/<file>"
        )
    folders = {name: (None, None, *PurePosixPath(name).parts[:-1]) for name in names}
    return {name: (levels[-2], levels[-1]) for name, levels in folders.items()}
