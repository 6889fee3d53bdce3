"""The child of `isolation`: extracts what it is told to, until its caller is gone.

to the child:    the setup once; then, for each source, its clips (manifest rows), a JSON list; or a camera's next
                 picture, a JSON object: source, time_s, anew
from the child:  b"R" ready; then b"." a frame was read; b"C" + Arrow a landmark row; b"Q" + Arrow a quarantine row;
                 b"E" the source, or the picture, is done
"""

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa

from sigflow.landmarks.detector import Detector, DetectorOptions
from sigflow.landmarks.extraction import Extracted, Failed, extract_clips, landmark_table, quarantine_table
from sigflow.landmarks.live import Camera
from sigflow.landmarks.video import Bounds

_BEAT_S = 0.5
_ORPHAN_S = 1.0


def _serve(source: Connection, sink: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    setup = json.loads(source.recv_bytes())
    threading.Thread(target=_end_with, args=(setup["caller"],), daemon=True).start()
    bounds = Bounds.model_validate_json(setup["bounds"])
    options = DetectorOptions.model_validate_json(setup["options"])
    paths = {name: Path(path) for name, path in setup["paths"].items()}
    Detector(options, paths).close()
    sink.send_bytes(b"R")
    last = [0.0]

    def beat() -> None:
        if time.monotonic() - last[0] > _BEAT_S:
            last[0] = time.monotonic()
            sink.send_bytes(b".")  # fails when the caller is gone, and ends this process with it

    with closing(Camera(options, paths, bounds)) as camera:
        while True:
            wanted = json.loads(source.recv_bytes())
            results: Iterable[Extracted | Failed | None]
            if isinstance(wanted, list):
                results = extract_clips(wanted, options, paths, bounds=bounds, on_frame=beat)
            else:
                jpeg = Path(wanted["source"]).read_bytes()
                results = [camera.look(jpeg, wanted["time_s"], wanted["anew"])]
            for result in results:
                if result is not None:
                    sink.send_bytes(_message(result, options))
            sink.send_bytes(b"E")


def _message(result: Extracted | Failed, options: DetectorOptions) -> bytes:
    if isinstance(result, Extracted):
        kind, table = b"C", landmark_table([result], options)
    else:
        kind, table = b"Q", quarantine_table([result])
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return kind + stream.getvalue().to_pybytes()


def _end_with(caller: int) -> None:
    """A closed pipe is noticed between frames; a decoder that never returns from one must not outlive its caller."""
    while os.getppid() == caller:
        time.sleep(_ORPHAN_S)
    os._exit(0)


if __name__ == "__main__":
    try:
        _serve(Connection(int(sys.argv[1]), writable=False), Connection(int(sys.argv[2]), readable=False))
    except (EOFError, BrokenPipeError):
        sys.exit(0)
