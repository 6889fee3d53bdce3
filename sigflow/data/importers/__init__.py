"""Other people's layouts to the Parquet contract: MP_Data folders, the Kaggle ISLR Parquet, .pose files and npz.

Each format is a module with `plan`, which lists what is there, and `read`, which turns one item of the plan into
clips or into the reasons why not. Items are small and picklable, so that workers share them.
"""

from collections.abc import Iterator

from sigflow.data.importers import islr, mp_data, npz, pose
from sigflow.data.importers.clip import ImportedClip, ImportFailure, ImportOptions
from sigflow.errors import UserError
from sigflow.storage import Location

__all__ = ["FORMATS", "ImportFailure", "ImportOptions", "ImportedClip", "Item", "plan", "read"]

FORMATS = ("mp_data", "islr", "pose", "npz")
Item = mp_data.Item | islr.Item | pose.Item | npz.Item


def plan(layout: str, source: Location, options: ImportOptions) -> list[Item]:
    """What `source` holds in `layout` (one of FORMATS), by listing and, for npz, reading headers.

    Raises:
        UserError: nothing of that layout there, folders whose meaning cannot be told, an option that it does not take.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist; --source takes a folder or file in the layout {layout}")
    if options.subject_key is not None and layout != "npz":
        raise UserError(f"{layout} has no named arrays: --subject-key is for npz; give --subject")
    match layout:
        case "mp_data":
            return [*mp_data.plan(source, options)]
        case "islr":
            return [*islr.plan(source, options)]
        case "pose":
            return [*pose.plan(source, options)]
        case "npz":
            return [*npz.plan(source, options)]
    raise UserError(f"unknown format {layout}; known are {', '.join(FORMATS)}")


def read(item: Item, options: ImportOptions) -> Iterator[ImportedClip | ImportFailure]:
    """The clips of one item, each imported or with the reason why not. Never raises for bad data."""
    match item:
        case mp_data.Item():
            return mp_data.read(item, options)
        case islr.Item():
            return islr.read(item, options)
        case pose.Item():
            return pose.read(item, options)
        case npz.Item():
            return npz.read(item, options)
