"""The Parquet contract: one row per clip, one column per thing that a reader may want alone.

A clip's landmarks are `list<fixed_size_list<float32, 3 * points>>`, one item per frame, null where MediaPipe saw
nothing there. x and y are divided by the frame's width and height, y points down, z has x's scale (image parts);
`*_world` is in metres about the part's own origin. Readers name the columns they want, so hands never cost faces.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from sigflow.topology import MODELS, NUM_BLENDSHAPES, PARTS, RAW, SIGNING

LANDMARKS_DIR = "landmarks"
QUARANTINE_DIR = "quarantine"


def per_frame(size: int) -> pa.DataType:
    """One vector of `size` float32 per frame, null where missing; NaN for a point that its source does not have."""
    return pa.list_(pa.list_(pa.field("element", pa.float32(), nullable=False), size))


CLIP_FIELDS = (
    pa.field("clip_id", pa.string(), nullable=False),  # path relative to the manifest's root, '#start-end' if a segment
    pa.field("source", pa.string()),  # where the video was read from
    pa.field("source_bytes", pa.int64()),  # its size and time then: a changed file is extracted again
    pa.field("source_modified_ms", pa.int64()),  # since 1970, UTC
    pa.field("label", pa.string()),
    pa.field("glosses", pa.list_(pa.string())),
    pa.field("subject", pa.string()),  # null: unknown
    pa.field("split", pa.string()),
    pa.field("start_s", pa.float64()),  # of a segment, in the source; null: from its start
    pa.field("end_s", pa.float64()),
    pa.field("fps", pa.float32()),
    pa.field("num_frames", pa.int32(), nullable=False),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("time_ms", pa.list_(pa.float64()), nullable=False),  # one per frame, from the clip's start
    pa.field("extractor", pa.string()),  # fingerprint, JSON
)
QUARANTINE_SCHEMA = pa.schema(
    [
        *CLIP_FIELDS[:4],
        pa.field("stage", pa.string()),  # open, bounds, decode, detect; time_limit, memory_limit, crash, worker_died
        pa.field("error", pa.string()),
        pa.field("extractor", pa.string()),
    ]
)


def part_fields(part: str) -> tuple[pa.Field, ...]:
    """Columns of one part: image landmarks, and what else MediaPipe says of it."""
    points = PARTS[part].num_points
    match part:
        case "left_hand" | "right_hand":
            return (
                pa.field(part, per_frame(3 * points)),
                pa.field(f"{part}_world", per_frame(3 * points)),
                pa.field(f"{part}_score", pa.list_(pa.float32())),  # of the raw handedness
                pa.field(f"{part}_handedness", pa.list_(pa.string())),  # raw, MediaPipe's own word
            )
        case "pose":
            return (
                pa.field(part, per_frame(3 * points)),
                pa.field(f"{part}_world", per_frame(3 * points)),
                pa.field(f"{part}_visibility", per_frame(points)),
                pa.field(f"{part}_presence", per_frame(points)),
            )
        case "face":
            return (
                pa.field(part, per_frame(3 * points)),
                pa.field("blendshapes", per_frame(NUM_BLENDSHAPES)),
            )
    raise ValueError(part)


def landmark_schema(parts: Iterable[str], *, raw: int = 0, signing: bool = False) -> pa.Schema:
    """Schema of a landmark file with `parts` (names of `topology.PARTS`), and `raw` channels of another origin.

    `signing`: of each frame, whether a sign is being made, and whether it begins there; 0 to 1.
    """
    fields = [*CLIP_FIELDS, *([pa.field(RAW, per_frame(raw))] if raw else [])]
    fields += [pa.field(SIGNING, per_frame(2))] if signing else []
    wanted = set(parts)
    return pa.schema(fields + [field for part in PARTS if part in wanted for field in part_fields(part)])


def models_for(columns: Iterable[str]) -> tuple[str, ...]:
    """The MediaPipe models that give any of these columns, in topology's order."""
    wanted = set(columns)
    return tuple(model for model, parts in MODELS.items() if set(landmark_schema(parts).names) & wanted)


def parts_in(schema: pa.Schema) -> tuple[str, ...]:
    """The parts whose landmarks a file of this schema holds, in topology's order."""
    return tuple(part for part in PARTS if part in schema.names)


def encode_frames(clips: list[np.ndarray], field: pa.Field) -> pa.Array:
    """A column from one array per clip: (T, C) float32, a row all NaN meaning missing; (T,) for a number per frame."""
    offsets = pa.array(np.cumsum([0, *(len(clip) for clip in clips)]), pa.int32())
    kind = field.type.value_type
    if not pa.types.is_fixed_size_list(kind):
        values = np.concatenate([np.asarray(clip, kind.to_pandas_dtype()) for clip in clips])
        items = pa.array(values, kind, mask=np.isnan(values))
    else:
        values = np.concatenate([np.asarray(clip, np.float32).reshape(-1, kind.list_size) for clip in clips])
        missing = np.isnan(values).all(axis=1)
        flat = pa.array(np.where(missing[:, None], np.float32(0), values).reshape(-1))
        items = pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))
    return pa.ListArray.from_arrays(offsets, items, type=field.type)


def decode_frames(column: pa.ChunkedArray | pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The inverse: all frames one after the other, (sum T, C) or (sum T,), NaN where missing; offsets (N + 1,)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        array = pa.array([], array.type)
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = array.flatten()
    if not pa.types.is_fixed_size_list(items.type):
        return items.to_numpy(zero_copy_only=False), offsets
    size = items.type.list_size
    values = items.values.slice(items.offset * size, len(items) * size).to_numpy(zero_copy_only=False).reshape(-1, size)
    if items.null_count:
        values = np.where(items.is_valid().to_numpy(zero_copy_only=False)[:, None], values, np.float32(np.nan))
    return values, offsets
