"""What graphs take for a clip: fp32, one thread, one clip at a time, real clips, this machine."""

import sys
import time
from collections.abc import Sequence

import numpy as np
import onnxruntime

from sigflow.data.clips import load_clips
from sigflow.ensemble import Pool, average
from sigflow.export import ensemble_model, run_graph, to_onnx
from sigflow.features.inputs import Inputs
from sigflow.storage import locate

_CLIPS, _ROUNDS = 16, 10


def milliseconds(graphs: Sequence[bytes], clips: Sequence[Inputs]) -> tuple[float, ...]:
    """Of each graph: the median over clips of the fastest of ten rounds.

    The fastest, in which the rest of the machine disturbed least; in turns, so that it disturbs all graphs alike.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(it, options, providers=["CPUExecutionProvider"]) for it in graphs]
    seconds = np.zeros((len(graphs), _ROUNDS, len(clips)))
    for turn in range(_ROUNDS):
        for number, session in enumerate(sessions):
            names = {value.name for value in session.get_inputs()}
            for i, clip in enumerate(clips):
                fed = clip._replace(parts={part: it for part, it in clip.parts.items() if part in names})
                started = time.perf_counter()
                run_graph(session, fed)
                seconds[number, turn, i] = time.perf_counter() - started
    return tuple((1000 * np.median(seconds.min(1), axis=1)).tolist())


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
    graphs = []
    for place in pool.places:
        print(f"timing {place.name}", file=sys.stderr, flush=True)
        graphs.append(to_onnx(ensemble_model(average([place]))))
    return milliseconds(graphs, clips)
