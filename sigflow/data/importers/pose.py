"""`.pose` files of MediaPipe Holistic, read with the package pose-format.

The header names components and points, fps and the frame's size; the body holds x and y in pixels and a confidence.
Confidence 0 means missing; in POSE_LANDMARKS it is MediaPipe's visibility. z is what MediaPipe gave, in widths already,
as pose-format's own writer leaves it (`utils/holistic.py`), unless the file was moved or scaled afterwards.

Source: https://github.com/sign-language-processing/pose, docs/specs.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader
from pose_format.utils.reader import BufferReader

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
from sigflow.data.importers.pose_index import identities
from sigflow.storage import Location, locate
from sigflow.topology import HAND_NAMES, PARTS, POSE_NAMES

MAX_FILE_BYTES = 1 << 30  # an hour at 30 frames/s


@dataclass(frozen=True)
class Item:
    """One file and what is known of it; `problem` if that contradicts itself."""

    identity: Identity
    problem: str | None = None


def plan(source: Location, options: ImportOptions) -> list[Item]:
    """The `.pose` files below `source` (or that one file), named by the index.csv beside them, else by their folders.

    See `pose_index.identities` for both. `options.subject` goes before either.

    Raises:
        UserError: no such file, folders whose meaning cannot be told, an index.csv that cannot be read.
    """
    return [Item(*found) for found in identities(source, files_below(source, ".pose"), options.subject)]


def read(item: Item, options: ImportOptions) -> Iterator[ImportedClip | ImportFailure]:
    """The one clip of the item: the parts that its file has, with `pose_visibility` beside a pose.

    A reduced file (fewer points of a part) gives NaN for the others. POSE_WORLD_LANDMARKS are passed over: tools that
    move or scale a file do so to them too, and they are metres no longer.
    """
    yield attempt(item.identity, lambda: _read(item, options))


def _read(item: Item, options: ImportOptions) -> ImportedClip:
    if item.problem is not None:
        raise ClipImportError("label", item.problem)
    file = locate(item.identity.source)
    if (size := file.size()) > MAX_FILE_BYTES:
        raise ClipImportError("read", f"{size} bytes are no clip; {MAX_FILE_BYTES} is the most")
    header, body = _decode(file.read_bytes())
    width, height = header.dimensions.width, header.dimensions.height
    if not (width and height and isfinite(body.fps) and body.fps > 0):
        raise ClipImportError("shape", f"its header says {width}x{height} pixels and {body.fps} frames/s")
    confidence_TP = to_float32(body.confidence[:, 0])
    missing = ~(confidence_TP > 0)
    points_TP3 = np.where(missing[:, :, None], np.float32(np.nan), to_float32(np.ma.getdata(body.data)[:, 0, :, :3]))
    if np.isinf(points_TP3).any():
        raise ClipImportError("shape", "it holds infinite numbers")
    parts = _parts(header)
    given = [points_TP3[:, first : first + len(places)] for _, first, places in parts]
    in_pixels = _is_depth_in_pixels(given, width)
    points_TP3 /= np.array([width, height, width if in_pixels else 1], np.float32)
    columns = {}
    for part, first, places in parts:
        columns[part] = _placed(part, points_TP3[:, first : first + len(places)], places)
        if part == "pose":
            visibility = _placed(part, confidence_TP[:, first : first + len(places), None], places)
            visibility[np.isnan(columns[part]).all(axis=1)] = np.nan
            columns["pose_visibility"] = visibility
    return imported(
        item.identity,
        columns,
        fps=float(body.fps),
        width=width,
        height=height,
        extractor=fingerprint("pose", options, z="divided by width" if in_pixels else "as stored"),
    )


def _is_depth_in_pixels(parts: list[np.ndarray], width: int) -> bool:
    """Whether points lie about as far apart in z as in x, which is in pixels, and not `width` times less.

    Compared within each part and frame, since a hand in a small picture is only a few pixels deep.
    """
    wide, deep = 0.0, 0.0
    for part_TP3 in parts:
        seen_TP3 = part_TP3[~np.isnan(part_TP3[:, :, 0]).all(axis=1)].astype(np.float64)
        x, _, z = (np.nanmax(seen_TP3, axis=1) - np.nanmin(seen_TP3, axis=1)).sum(axis=0).tolist()
        wide, deep = wide + x, deep + z
    return deep * width**0.5 > wide


def _placed(part: str, values_TPC: np.ndarray, places: list[int]) -> np.ndarray:
    """(T, points * C): the values where MediaPipe numbers their points, NaN for points that the file has not got."""
    num_frames, _, channels = values_TPC.shape
    placed = np.full((num_frames, PARTS[part].num_points, channels), np.nan, np.float32)
    placed[:, places] = values_TPC
    return placed.reshape(num_frames, PARTS[part].num_points * channels)


def _decode(data: bytes) -> tuple[Any, Any]:
    """Header and body. The sizes are checked first: a truncated 0.1 file would else be read, shifted, in silence."""
    reader = BufferReader(data)
    header = PoseHeader.read(reader)
    points = sum(len(component.points) for component in header.components)
    match round(header.version, 3):
        case 0.1:
            _, frames, people = struct.unpack_from("<HHH", data, reader.read_offset)
            start = reader.read_offset + 6
        case 0.2:
            _, frames, people = struct.unpack_from("<fIH", data, reader.read_offset)
            start = reader.read_offset + 10
        case version:
            raise ClipImportError("read", f"its version is {version}; 0.1 and 0.2 are read")
    if people != 1 or any(component.format != "XYZC" for component in header.components):
        formats = sorted({component.format for component in header.components})
        raise ClipImportError("shape", f"it has {people} people in {formats}; one person in XYZC is read")
    found, left = divmod(len(data) - start, points * 4 * 4)
    # 0.1 counts frames in 16 bits and leaves the rest to the file's length.
    if left or frames != (found % 65536 if header.version < 0.15 else found):
        raise ClipImportError("read", f"truncated: {frames} frames promised, bytes for {found} there")
    return header, NumPyPoseBody.read(header, reader)


def _parts(header: Any) -> list[tuple[str, int, list[int]]]:
    """Per component that is a part: the part, its first point in the file, and where its points lie in the part."""
    found, first = [], 0
    for component in header.components:
        part = _part(component.name)
        if part is not None:
            found.append((part, first, [_place(part, point) for point in component.points]))
        first += len(component.points)
    if not found or len({part for part, _, _ in found}) < len(found):
        names = ", ".join(component.name for component in header.components)
        raise ClipImportError("shape", f"its components are {names}; those of MediaPipe Holistic are read")
    return found


def _part(component: str) -> str | None:
    match component.upper():
        case "POSE_LANDMARKS" | "BODY_LANDMARKS":
            return "pose"
        case "FACE_LANDMARKS":
            return "face"
        case "LEFT_HAND_LANDMARKS" | "RIGHT_HAND_LANDMARKS" as name:
            return name.removesuffix("_LANDMARKS").lower()
    return None


def _place(part: str, point: str) -> int:
    """Which point of a part the file means: names for pose and hands, MediaPipe's numbers for the face."""
    name = point.lower().replace("_finger_", "_")
    names = POSE_NAMES if part == "pose" else HAND_NAMES
    if part == "face" and name.isascii() and name.isdigit() and int(name) < PARTS["face"].num_points:
        return int(name)
    if part == "face" or name not in names:
        raise ClipImportError("shape", f"{point} is no point of MediaPipe's {part}")
    return names.index(name)
