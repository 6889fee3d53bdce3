"""What TensorBoard reads: the epochs of a fold, written whole when the fold ends.

An object in storage cannot be appended to, so that a fold's file is made from its history at once and replaced at once;
how far a fold is that still trains, the job itself says. `tensorboard --logdir runs` shows all runs below `runs`.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from sigflow.storage import Location

FILE = "events.out.tfevents.0.sigflow"  # always the same: a fold trained again replaces its file
_STOP = "stop_"


def write_events(folder: Location, history: Sequence[Mapping[str, int | float | None]]) -> None:
    """Write `folder`/FILE with every figure of a fold's epochs, by epoch.

    Names are loss/train, loss/stop and so on, so that TensorBoard draws both parts side by side; the members of a
    portfolio, each with epochs of its own, come under member_0, member_1, ... All have the time of writing: a history
    knows none.
    """
    now = time.time()
    with tempfile.TemporaryDirectory() as made:
        writer = RecordWriter(f"{made}/{FILE}")
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for epoch in history:
            for name, value in _figures(epoch):
                event = Event(wall_time=now, step=int(epoch["epoch"] or 0), summary=scalar(name, value))
                writer.write(event.SerializeToString())
        writer.close()
        (folder / FILE).write_bytes((Path(made) / FILE).read_bytes())


def _figures(epoch: Mapping[str, int | float | None]) -> Iterator[tuple[str, float]]:
    """TensorBoard's name and value of each figure that is a number."""
    prefix = f"member_{epoch['member']}/" if "member" in epoch else ""
    for name, value in epoch.items():
        if name not in ("epoch", "member") and value is not None and math.isfinite(value):
            yield f"{prefix}{name.removeprefix(_STOP)}/{'stop' if name.startswith(_STOP) else 'train'}", value
