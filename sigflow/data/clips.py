"""Parquet to clips, and clips to padded batches.

All frames of all clips lie one after the other in one tensor per part, so that a batch is one gather, on any device,
and worker processes on one machine can share the memory; what is too large for memory is mapped from disk.
Shape suffixes: S sum of all frames, B batch, T frames.
"""

import hashlib
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sigflow.data.source import META, TIME, Source, every_frame, frame_bytes, look, seconds
from sigflow.data.spool import Shapes, Spool, fits_memory, open_spool
from sigflow.errors import UserError
from sigflow.features.inputs import Inputs
from sigflow.schema import decode_frames
from sigflow.storage import Location
from sigflow.topology import INPUTS, SIGNING

_BLOCK = 2**22  # numbers


@dataclass(frozen=True)
class Clips:
    """N clips, sorted by clip_id. `table`: the columns that are not per frame; `offsets` (N + 1,) cut the frames."""

    table: pa.Table
    offsets: Tensor
    time_s_S: Tensor
    aspect_N: Tensor
    parts: dict[str, Tensor]  # by name of `topology.INPUTS`, or SIGNING: (S, points, 3), or (S, channels)
    source: Source | None = None  # the files that they were read from
    spool: Spool | None = None  # what time_s_S and the parts are mapped from, if they are

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> list[str | None]:
        """A column of `table` as Python values."""
        return self.table[name].to_pylist()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of a frame of each part."""
        return {part: tuple(points.shape[1:]) for part, points in self.parts.items()}

    @property
    def nbytes(self) -> int:
        """Of all that is per frame, wherever it is."""
        return sum(tensor.nbytes for tensor in (self.time_s_S, *self.parts.values()))

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

    def outline(self) -> dict[str, Any]:
        """Everything but the frames, and where those are read: little, for machines that get them for themselves.

        Raises:
            UserError: the clips are in no file.
        """
        if self.source is None:
            raise UserError(f"the clips take {self.nbytes / 2**30:.1f} GiB, too much for memory, and are in no file")
        return {
            "table": self.table,
            "offsets": self.offsets.numpy(),
            "source": self.source,
            "shapes": self.shapes,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> "Clips":
        """The inverse of `arrays`, or of `outline`: from a spool of this machine, which is not removed in the end."""
        if "source" in arrays:
            return _mapped(arrays["source"], arrays["table"], arrays["offsets"], arrays["shapes"], borrowed=True)
        offsets, time_s_S, aspect_N = (_read_only(arrays[name]) for name in ("offsets", "time_s", "aspect"))
        parts = {part: _read_only(points) for part, points in arrays["parts"].items()}
        return cls(arrays["table"], offsets, time_s_S, aspect_N, parts)

    def close(self) -> None:
        """Let others remove the spool, if there is one; whoever still has these clips can read them."""
        if self.spool is not None:
            self.spool.close()

    def to(self, device: torch.device) -> "Clips":
        """The same clips with their tensors on `device`; mapped ones stay, and their batches are to be moved."""
        if self.spool is not None:
            return self
        return replace(
            self,
            offsets=self.offsets.to(device), time_s_S=self.time_s_S.to(device), aspect_N=self.aspect_N.to(device),
            parts={part: points.to(device) for part, points in self.parts.items()},
        )  # fmt: skip

    def select(self, rows: Sequence[int]) -> "Clips":
        """Those clips alone; mapped ones are mapped anew, and no more is in memory than before."""
        table = self.table.take(pa.array(rows, pa.int64()))
        spans = [(int(self.offsets[row]), int(self.offsets[row + 1])) for row in rows]
        offsets = torch.tensor([0, *(end - start for start, end in spans)]).cumsum(0)
        if self.spool is not None and self.source is not None:
            return _mapped(self.source, table, offsets.numpy(), self.shapes)
        frame_S = torch.cat([torch.arange(start, end) for start, end in spans])
        return Clips(
            table, offsets, self.time_s_S[frame_S], self.aspect_N[torch.tensor(rows)],
            {part: points[frame_S] for part, points in self.parts.items()}, self.source,
        )  # fmt: skip

    def read_by(self, parts: Container[str]) -> "Clips":
        """The same clips, of their parts these alone."""
        return replace(self, parts={part: points for part, points in self.parts.items() if part in parts})

    def blocks(self) -> Iterator[tuple[Tensor, slice]]:
        """All frames, some at a time: of each (B,) the row of its clip; where they lie in the tensors."""
        numbers = sum(points[:1].numel() for points in self.parts.values())
        step = max(1, _BLOCK // max(1, numbers))
        for start in range(0, len(self.time_s_S), step):
            frames = slice(start, min(start + step, len(self.time_s_S)))
            place_B = torch.arange(frames.start, frames.stop, device=self.offsets.device)
            yield torch.searchsorted(self.offsets, place_B, right=True) - 1, frames

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
                part: points[frame_BT].masked_fill_(beyond_BT.reshape(*beyond_BT.shape, *[1] * (points.ndim - 1)), nan)
                for part, points in self.parts.items()
            },
            self.time_s_S[frame_BT].masked_fill_(beyond_BT, nan),
            self.aspect_N[rows],
            lengths_B,
        )


def load_clips(data: Location, parts: Iterable[str], *, mixed: bool = False) -> Clips:
    """Read the landmark files below `data`: metadata and the named parts, nothing else.

    Where they would take more than an eighth of the memory they are written to a spool on this machine's disk, a few
    clips at a time, and mapped: the same clips in every number.

    Raises:
        UserError: nothing there, a part that was not extracted, one clip twice, (unless `mixed`) rows made by
            different extractors, or no disk that is large enough.
    """
    wanted = [part for part in (*INPUTS, SIGNING) if part in set(parts)]
    source, frames, shapes = look(data, wanted)
    if not fits_memory(frames * frame_bytes(shapes)):
        table, lengths_N = source.read_outline()
        _refuse_doubtful(table, data, mixed)
        return _mapped(source, table, np.append(0, lengths_N.cumsum()), shapes)
    table = source.read(wanted)
    _refuse_doubtful(table, data, mixed)
    time_ms, offsets = decode_frames(table["time_ms"])
    return Clips(
        table=table.select(META),
        offsets=torch.from_numpy(offsets),
        time_s_S=torch.from_numpy(seconds(time_ms)),
        aspect_N=_aspect(table),
        parts={
            part: torch.from_numpy(every_frame(table[part], offsets)).unflatten(1, shape)
            for part, shape in shapes.items()
        },
        source=source,
    )


def _mapped(source: Source, table: pa.Table, offsets: np.ndarray, shapes: Shapes, *, borrowed: bool = False) -> Clips:
    """The clips of `table` from a spool."""
    clip_ids = table["clip_id"].to_pylist()
    named = repr((source.data.uri, source.stamp, sorted(shapes.items()), clip_ids))
    frames = int(offsets[-1])
    spool = open_spool(
        hashlib.sha256(named.encode()).hexdigest()[:32],
        {TIME: (frames,)} | {part: (frames, *shape) for part, shape in shapes.items()},
        lambda put: source.put_frames(clip_ids, offsets, list(shapes), put),
        borrowed=borrowed,
    )
    return Clips(
        table, _read_only(offsets), _read_only(spool.arrays[TIME]), _aspect(table),
        {part: _read_only(spool.arrays[part]) for part in shapes}, source, spool,
    )  # fmt: skip


def _aspect(table: pa.Table) -> Tensor:
    aspect = pc.divide(table["width"].cast(pa.float32()), table["height"]).to_pylist()
    return torch.tensor(aspect, dtype=torch.float32)


def _read_only(array: np.ndarray) -> Tensor:
    """Nothing is ever written to clips."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


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
