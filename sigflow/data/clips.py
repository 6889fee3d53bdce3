"""Parquet to clips in memory, and clips to padded batches.

All frames of all clips lie one after the other in one tensor per part, so that a batch is one gather, on any device,
and worker processes on one machine can share the memory. Shape suffixes: S sum of all frames, B batch, T frames.
"""

import hashlib
import warnings
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sigflow.errors import UserError
from sigflow.features.inputs import Inputs
from sigflow.schema import CLIP_FIELDS, LANDMARKS_DIR, decode_frames
from sigflow.storage import Location
from sigflow.topology import INPUT_SHAPES, INPUTS, SIGNING

_META = [field.name for field in CLIP_FIELDS if field.name != "time_ms"]


@dataclass(frozen=True)
class Clips:
    """N clips, sorted by clip_id. `table`: the columns that are not per frame; `offsets` (N + 1,) cut the frames."""

    table: pa.Table
    offsets: Tensor
    time_s_S: Tensor
    aspect_N: Tensor
    parts: dict[str, Tensor]  # by name of `topology.INPUTS`, or SIGNING: (S, points, 3), or (S, channels)

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> list[str | None]:
        """A column of `table` as Python values."""
        return self.table[name].to_pylist()

    @property
    def fingerprint(self) -> str:
        """Sha256 over ids, labels, subjects and every landmark: equal data, equal string."""
        digest = hashlib.sha256()
        for name in ("clip_id", "label", "subject", "split"):
            digest.update(repr(self.column(name)).encode())
        for tensor in (self.offsets, self.time_s_S, self.aspect_N, *self.parts.values()):
            digest.update(np.ascontiguousarray(tensor.cpu().numpy()).data)
        return digest.hexdigest()

    def arrays(self) -> dict[str, Any]:
        """Everything as Arrow and numpy, which processes of one machine share without a copy."""
        return {
            "table": self.table,
            "offsets": self.offsets.numpy(),
            "time_s": self.time_s_S.numpy(),
            "aspect": self.aspect_N.numpy(),
            "parts": {part: points.numpy() for part, points in self.parts.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> "Clips":
        """The inverse of `arrays`. Shared memory is read-only; clips are never written to."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return cls(
                arrays["table"],
                torch.from_numpy(arrays["offsets"]),
                torch.from_numpy(arrays["time_s"]),
                torch.from_numpy(arrays["aspect"]),
                {part: torch.from_numpy(points) for part, points in arrays["parts"].items()},
            )

    def to(self, device: torch.device) -> "Clips":
        """The same clips with their tensors on `device`."""
        return replace(
            self,
            offsets=self.offsets.to(device), time_s_S=self.time_s_S.to(device), aspect_N=self.aspect_N.to(device),
            parts={part: points.to(device) for part, points in self.parts.items()},
        )  # fmt: skip

    def select(self, rows: Sequence[int]) -> "Clips":
        """Those clips alone."""
        spans = [(int(self.offsets[row]), int(self.offsets[row + 1])) for row in rows]
        frame_S = torch.cat([torch.arange(start, end) for start, end in spans])
        lengths = torch.tensor([0, *(end - start for start, end in spans)])
        return Clips(
            self.table.take(pa.array(rows, pa.int64())), lengths.cumsum(0), self.time_s_S[frame_S],
            self.aspect_N[torch.tensor(rows)], {part: points[frame_S] for part, points in self.parts.items()},
        )  # fmt: skip

    def read_by(self, parts: Container[str]) -> "Clips":
        """The same clips, of their parts these alone."""
        return replace(self, parts={part: points for part, points in self.parts.items() if part in parts})

    def batch(self, index: Sequence[int] | Tensor) -> Inputs:
        """Clips `index` padded with NaN to the longest of them."""
        rows = torch.as_tensor(index, device=self.offsets.device)
        start_B, lengths_B = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        number_T = torch.arange(int(lengths_B.max()), device=rows.device)
        beyond_BT = number_T >= lengths_B[:, None]
        frame_BT = (start_B[:, None] + number_T).clamp(max=len(self.time_s_S) - 1)
        nan = float("nan")
        return Inputs(
            {
                part: points[frame_BT].masked_fill(beyond_BT.reshape(*beyond_BT.shape, *[1] * (points.ndim - 1)), nan)
                for part, points in self.parts.items()
            },
            self.time_s_S[frame_BT].masked_fill(beyond_BT, nan),
            self.aspect_N[rows],
            lengths_B,
        )


def load_clips(data: Location, parts: Iterable[str], *, mixed: bool = False) -> Clips:
    """Read the landmark files below `data`: metadata and the named parts, nothing else.

    Raises:
        UserError: nothing there, a part that was not extracted, one clip twice, or (unless `mixed`) rows made by
            different extractors.
    """
    wanted = [part for part in (*INPUTS, SIGNING) if part in set(parts)]
    files = (data / LANDMARKS_DIR).files(".parquet")
    if not files:
        hint = "it does not exist" if not data.exists() else f"it holds no {LANDMARKS_DIR}/*.parquet"
        raise UserError(f"no landmarks in {data}: {hint}; give the --out of jobs/extract.py")
    schemas = [file.schema() for file in files]
    columns = set.intersection(*(set(schema.names) for schema in schemas))
    if lacking := [part for part in wanted if part not in columns]:
        raise UserError(
            f"{data} has no {', '.join(lacking)}; extract again with --parts that give them, or choose features that "
            "do not read them"
        )
    for part in wanted:
        if any(schema.field(part).type != schemas[0].field(part).type for schema in schemas):
            raise UserError(
                f"{data} has files with different numbers of {part} channels; import each into its own --out"
            )
    table = pa.concat_tables([file.read_parquet([*_META, "time_ms", *wanted]) for file in files]).sort_by("clip_id")
    _refuse_doubtful(table, data, mixed)
    time_ms, offsets = decode_frames(table["time_ms"])
    return Clips(
        table=table.select(_META),
        offsets=torch.from_numpy(offsets),
        time_s_S=torch.from_numpy((time_ms / 1000).astype(np.float32)),
        aspect_N=torch.tensor(
            pc.divide(table["width"].cast(pa.float32()), table["height"]).to_pylist(), dtype=torch.float32
        ),
        parts={
            part: torch.from_numpy(_every_frame(table[part], offsets)).unflatten(1, INPUT_SHAPES.get(part, (-1,)))
            for part in wanted
        },
    )


def _every_frame(column: pa.ChunkedArray, offsets: np.ndarray) -> np.ndarray:
    """(S, C), as many frames of each clip as `offsets` say; NaN where missing."""
    values, own_offsets = decode_frames(column)
    if np.array_equal(own_offsets, offsets):
        return np.array(values)
    # A clip whose source lacks the part (.pose files need not all have a face) has no list of frames in this column.
    counts = np.diff(offsets)
    frames = np.full((offsets[-1], values.shape[1]), np.nan, np.float32)
    frames[np.repeat(np.diff(own_offsets) == counts, counts)] = values
    return frames


def _refuse_doubtful(table: pa.Table, data: Location, mixed: bool) -> None:
    counts = pc.value_counts(table["clip_id"])
    twice = [row["values"].as_py() for row in counts if row["counts"].as_py() > 1]
    if twice:
        raise UserError(f"{data} holds {len(twice)} clips twice, {twice[0]} first; extract into an empty folder")
    makers = pc.unique(table["extractor"]).to_pylist()
    if len(makers) > 1 and not mixed:
        raise UserError(
            f"{data} mixes rows of {len(makers)} extractors ({makers[0]} and {makers[1]}); extract all clips with one"
        )
