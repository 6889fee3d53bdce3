"""Bodies that mean harm, each with the statuses that may answer it."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from serve.bodies import ARROW, JSON, NPY

MODEL = "tiny"
PATH = f"/v1/models/{MODEL}:predict"
FRAME = np.linspace(0.1, 0.9, 63, dtype=np.float32).reshape(21, 3)
MIB = 1 << 20


class Hostile(NamedTuple):
    """What is sent. `body` makes it when it is needed: bytes, or an iterator that is sent without a length."""

    name: str
    media_type: str
    statuses: tuple[int, ...]
    body: Callable[[], bytes | Iterator[bytes]]
    headers: dict[str, str] = {}  # noqa: RUF012  # a tuple's default


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npy_of(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def arrow(table: pa.Table | None = None, *, compression: str | None = None, empty_batches: int = 0) -> bytes:
    table = clips() if table is None else table
    stream = io.BytesIO()
    empty = pa.RecordBatch.from_pylist([], table.schema)
    with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
        for _ in range(empty_batches):
            writer.write_batch(empty)
    return stream.getvalue()


def clips(rows: int = 1, frames: int = 3, **columns: Any) -> pa.Table:
    hands = pa.array([[FRAME.ravel().tolist()] * frames] * rows, pa.list_(pa.list_(pa.float32(), 63)))
    times = pa.array([[40.0 * number for number in range(frames)]] * rows, pa.list_(pa.float64()))
    return pa.table({"right_hand": hands, "time_ms": times, "aspect": pa.array([1.5] * rows)} | columns)


def clip(**changes: Any) -> bytes:
    """JSON as Python writes it, which has NaN and Infinity."""
    return json.dumps({"landmarks": {"right_hand": [FRAME.tolist()] * 3}, "fps": 30} | changes).encode()


def _patched(body: bytes, old: bytes, new: bytes) -> bytes:
    assert body.count(old), "nothing to change"
    return body.replace(old, new)


def _body_bytes(stream: bytes) -> int:
    size: int = [message.body.size for message in pa.ipc.MessageReader.open_stream(stream)][-1]
    return size


def _zip_bomb() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", bytes(100 * MIB))
    return stream.getvalue()


def _extension() -> bytes:
    """A column of the type whose metadata old versions of pyarrow unpickled."""
    field = pa.field(
        "aspect", pa.float64(),
        metadata={
            "ARROW:extension:name": "arrow.py_extension_type",
            "ARROW:extension:metadata": pickle.dumps(print),
        },
    )  # fmt: skip
    table = clips().drop_columns("aspect")
    return arrow(table.append_column(field, pa.array([1.0]).cast(pa.float64())))


def _filled(pattern: bytes, size: int, start: bytes, end: bytes) -> bytes:
    return start + pattern * ((size - len(start) - len(end)) // len(pattern)) + end


def _keys(size: int, value: str) -> str:
    return ",".join(f'"k{number}":{value}' for number in range(size // (len(value) + 12)))


LIMIT, FRAMES_START = 8 * MIB, b'{"fps":30,"landmarks":{"right_hand":['
BOMBS = [
    Hostile("json over the limit", JSON, (413,), lambda: b" " * (LIMIT + 1)),
    Hostile("json over the limit, of no known length", JSON, (413,), lambda: iter([b" " * MIB] * 24)),
    Hostile("npy over the limit, of no known length", NPY, (413,), lambda: iter([bytes(MIB)] * 48)),
    Hostile("lists nested 100,000 deep", JSON, (400,), lambda: b"[" * 100_000 + b"]" * 100_000),
    Hostile("lists nested without end", JSON, (400,), lambda: b"[" * LIMIT),
    Hostile("objects nested 100,000 deep", JSON, (400,), lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    Hostile("empty lists for frames", JSON, (413,), lambda: _filled(b"[],", LIMIT, FRAMES_START, b"[]]}}")),
    Hostile("empty lists for points", JSON, (422,), lambda: _filled(b"[],", LIMIT, FRAMES_START + b"[", b"[]]]}}")),
    Hostile("uneven lists for points", JSON, (422,), lambda: _filled(b"[],", LIMIT, FRAMES_START + b"[", b"1]]}}")),
    Hostile("empty objects for clips", JSON, (413,), lambda: _filled(b"{},", LIMIT, b'{"instances":[', b"{}]}")),
    Hostile("words for times", JSON, (422,), lambda: _filled(
        b'"",', LIMIT, FRAMES_START + b'null]},"time_ms":[', b'""]}')),
    Hostile("many unknown keys", JSON, (422,), lambda: f"{{{_keys(LIMIT, '0')}}}".encode()),
    Hostile("many unknown keys of a clip", JSON, (422,), lambda: f'{{"instances":[{{{_keys(LIMIT, "0")}}}]}}'.encode()),
    Hostile("many parts", JSON, (422,), lambda: f'{{"landmarks":{{{_keys(LIMIT, "0")}}}}}'.encode()),
    Hostile("a long key", JSON, (422,), lambda: b'{"' + b"k" * (LIMIT - 10) + b'":1}'),
    Hostile("a long name of a part", JSON, (422,), lambda: (
        b'{"landmarks":{"' + b"k" * (LIMIT - 99) + b'":[]},"fps":1}')),
    Hostile("a long integer", JSON, (400,), lambda: b"1" * LIMIT),
    Hostile("a long fraction", JSON, (422,), lambda: b'{"fps":0.' + b"1" * (LIMIT - 20) + b"}"),
    Hostile("lists nested in a frame", JSON, (422,), lambda: clip(landmarks={"right_hand": [_nested(90)]})),
    Hostile("gzip", JSON, (415,), lambda: gzip.compress(bytes(100 * MIB), 1), {"content-encoding": "gzip"}),
    Hostile("a zip for npy", NPY, (400,), _zip_bomb),
    Hostile("bytes for numbers", NPY, (422,), lambda: npy(np.zeros(30 * MIB, np.uint8))),
    Hostile("many npy frames", NPY, (413,), lambda: npy(np.zeros((120_000, 21, 3), np.uint8))),
    Hostile("compressed arrow", ARROW, (415,), lambda: arrow(
        clips(z=pa.array([bytes(50 * MIB)])), compression="zstd")),
    Hostile("many empty arrow batches", ARROW, (413,), lambda: arrow(empty_batches=30_000)),
    Hostile("many arrow rows", ARROW, (413,), lambda: arrow(pa.table({"n": pa.array(np.zeros(30 * MIB, np.uint8))}))),
    Hostile("many arrow columns", ARROW, (422,), lambda: arrow(pa.table({f"k{n}": [1] for n in range(10_000)}))),
    Hostile("arrow rows of nothing", ARROW, (400, 413, 422), lambda: _patched(
        arrow(pa.table({"aspect": pa.nulls(7_654_321)})), struct.pack("<q", 7_654_321), struct.pack("<q", 1 << 40))),
]  # fmt: skip
ODD = [
    *(
        Hostile(f"{word} for {name}", JSON, (422,), lambda body=body, word=word: body.replace(b'"?"', word.encode()))  # type: ignore[misc]
        for word in ("NaN", "Infinity", "-Infinity", "1e999999999", "1" * 400)
        for name, body in {
            "a coordinate": clip(landmarks={"right_hand": [[["?", 0, 0]] * 21]}), "fps": clip(fps="?"),
            "aspect": clip(aspect="?"), "a time": clip(fps=None, time_ms=[0, 1, "?"]), "top_k": clip(top_k="?"),
        }.items()
    ),
    Hostile("a long integer inside", JSON, (400,), lambda: clip(top_k="?").replace(b'"?"', b"9" * 5000)),
    Hostile("half a character", JSON, (400, 422), lambda: b'{"\\ud800":1}'),
    Hostile("half a character in a part", JSON, (400, 422), lambda: b'{"landmarks":{"\\udfff":[]},"fps":1}'),
    Hostile("utf-16", JSON, (400,), lambda: clip().decode().encode("utf-16")),
    Hostile("two documents", JSON, (400,), lambda: clip() * 2),
    Hostile("a pickle", "application/octet-stream", (415,), lambda: pickle.dumps([1])),
    Hostile("a form", "multipart/form-data; boundary=x", (415,), lambda: b"--x--"),
    Hostile("no media type at all", "/;", (415,), clip),
    Hostile("a long media type", "x" * 5000, (415,), clip),
    Hostile("pickled npy", NPY, (400,), lambda: npy(np.array([print], object))),
    Hostile("npy with a wrong shape", NPY, (422,), lambda: npy(np.zeros((3, 20, 3), np.float32))),
    Hostile("npy of one number", NPY, (422,), lambda: npy(np.array(1.0, np.float32))),
    Hostile("npy that is infinite", NPY, (422,), lambda: npy(np.full((3, 21, 3), np.inf, np.float32))),
    Hostile("npy with a huge number", NPY, (422,), lambda: npy(np.full((3, 21, 3), 1e300))),
    *(
        Hostile(f"npy header {header[:60]}", NPY, (400,), lambda header=header: npy_of(header, bytes(756)))  # type: ignore[misc]
        for header in (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (10**30, 10**30)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -63)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 300 + "189)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 189L)}",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (189,)}",
            "{'descr': '(3,)<f4', 'fortran_order': False, 'shape': (63,)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (189,)}",
            "{'descr': '|V4', 'fortran_order': False, 'shape': (189,)}",
            "{'descr': 'O', 'fortran_order': False, 'shape': (189,)}",
            "{'descr': '<c8', 'fortran_order': False, 'shape': (189,)}",
            "{'descr': '\\d', 'fortran_order': False, 'shape': (1if 1else 1,)}",
            "__import__('os').abort()", "(" * 4000, "-" * 4000, "{" * 4000, "[" * 90 + "]" * 90, "1" + "0" * 4000, "",
        )
    ),
    Hostile("a long npy header", NPY, (400,), lambda: npy_of("(" * 60_000)),
    Hostile("npy of a later version", NPY, (400,), lambda: b"\x93NUMPY\x03\x00" + b"\xff" * 100),
    Hostile("npy that ends", NPY, (400,), lambda: npy(FRAME[None])[:-1]),
    Hostile("arrow metadata of 2 GiB", ARROW, (400,), lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + arrow()[8:]),
    Hostile("arrow metadata below 0", ARROW, (400,), lambda: b"\xff\xff\xff\xff\xff\xff\xff\xff" + arrow()[8:]),
    Hostile("an arrow body of many bytes", ARROW, (400,), lambda: _patched(
        arrow(), struct.pack("<q", _body_bytes(arrow())), struct.pack("<q", 1 << 60))),
    Hostile("an arrow list of many frames", ARROW, (400,), lambda: _patched(
        arrow(), struct.pack("<ii", 0, 3), struct.pack("<ii", 0, 1 << 30))),
    Hostile("an arrow list before its start", ARROW, (400,), lambda: _patched(
        arrow(), struct.pack("<ii", 0, 3), struct.pack("<ii", -9, 3))),
    Hostile("pickled arrow", ARROW, (200, 400, 422), _extension),
    Hostile("arrow of words", ARROW, (422,), lambda: arrow(clips(aspect=pa.array(["wide"])))),
    Hostile("arrow of dates", ARROW, (422,), lambda: arrow(clips(aspect=pa.array([1], pa.timestamp("s", "No/Where"))))),
    Hostile("arrow of lists", ARROW, (422,), lambda: arrow(clips(time_ms=pa.array([[["a"]]])))),
    Hostile("arrow of dictionaries", ARROW, (415,), lambda: arrow(clips(z=pa.array(["a"]).dictionary_encode()))),
    Hostile("arrow of nulls", ARROW, (422,), lambda: arrow(clips(right_hand=pa.nulls(1), time_ms=pa.nulls(1)))),
    Hostile("arrow without rows", ARROW, (422,), lambda: arrow(clips(rows=0))),
    Hostile("a column twice", ARROW, (422,), lambda: arrow(clips().append_column("aspect", pa.array([1.0])))),
    Hostile("an arrow file", ARROW, (400,), lambda: b"ARROW1\0\0" + arrow()),
]  # fmt: skip


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value
