"""What a graph takes for a clip: fp32, one thread, one clip at a time, real clips, this machine."""

import sys
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime

from sigflow.data.clips import load_clips
from sigflow.ensemble import Pool, average
from sigflow.export import ensemble_model, run_graph, to_onnx
from sigflow.features.inputs import Inputs
from sigflow.storage import Location, locate

_CLIPS, _ROUNDS = 16, 3


def milliseconds(graph: bytes, clips: Sequence[Inputs]) -> float:
    """Median over clips of the fastest of three rounds, which whatever else the machine does disturbs least."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    fed = [clip._replace(parts={part: it for part, it in clip.parts.items() if part in names}) for clip in clips]
    run_graph(session, fed[0])  # the first one also sets up memory
    seconds = np.zeros((_ROUNDS, len(fed)))
    for turn in range(_ROUNDS):
        for number, clip in enumerate(fed):
            started = time.perf_counter()
            run_graph(session, clip)
            seconds[turn, number] = time.perf_counter() - started
    return 1000 * float(np.median(seconds.min(0)))


def sample_clips(pool: Pool) -> list[Inputs]:
    """Some of the clips that the runs were trained on, with all that any run reads, one in each batch.

    Raises:
        UserError: they are gone.
    """
    wanted = {part for run in pool.runs for part in run.recipe.parts}
    clips = load_clips(locate(pool.runs[0].data), wanted, mixed=True)
    rows = np.unique(np.linspace(0, len(clips) - 1, _CLIPS).astype(int)).tolist()
    return [clips.batch([row]) for row in rows]


def each_alone(pool: Pool, clips: Sequence[Inputs]) -> tuple[float, ...]:
    """Milliseconds a clip of each run's own graph, of all its fold models."""
    return tuple(_alone(place, clips) for place in pool.places)


def _alone(place: Location, clips: Sequence[Inputs]) -> float:
    taken = milliseconds(to_onnx(ensemble_model(average([place]))), clips)
    print(f"timing {place.name}: {taken:.3g} ms a clip", file=sys.stderr, flush=True)
    return taken
