"""Graphs of lower precision, each measured beside fp32 and taken or refused."""

import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from sigflow.bundle import Attempt, Bundle, Precision, PrecisionName, graph_file
from sigflow.errors import UserError
from sigflow.export import random_inputs
from sigflow.export.gate import Answers, Limits, figures, judge
from sigflow.export.precision import METHODS, Feed, lower
from sigflow.export.survive import survives
from sigflow.pipelines.material import Material
from sigflow.predictor import ClipInput, Predictor

BATCH = 32
_ALONE = 32  # clips that are also asked about one at a time
_RANDOM, _FRAMES = 100, 30  # requirements: the response to 100 random inputs


def measured_precisions(
    bundle: Bundle, material: Material, wanted: Sequence[PrecisionName], limits: Limits
) -> tuple[dict[PrecisionName, Precision], dict[str, bytes]]:
    """What became of each of `wanted` but fp32, and the graphs that hold up, by file name.

    `bundle`: with the fp32 graph. Nothing that goes wrong here ends the export: it is a precision's reason.
    """
    fp32 = Predictor(bundle)
    rows = material.gate
    clips, noise = material.inputs(rows), _random_clips(fp32)
    true = [material.true[row] for row in rows]
    calibration = [fp32.feed(batch) for batch in _batches(material.inputs(material.calibration))]
    stress = [*(fp32.feed(noise[:size]) for size in (1, BATCH)), fp32.feed(clips[:BATCH])]
    precisions: dict[PrecisionName, Precision] = {}
    graphs: dict[str, bytes] = {}
    for precision in wanted:
        attempts: list[Attempt] = []
        for method in METHODS.get(precision, ()):
            print(f"exporting {precision}, {method}", file=sys.stderr, flush=True)
            graph, reason = _made(bundle.graph, precision, method, calibration, stress)
            if graph is None:
                attempts.append(Attempt(method=method, reasons=(reason,)))
                continue
            lowered = Predictor(Bundle(bundle.manifest, graph, precision))
            mine, theirs = _answers((lowered, len(graph)), (fp32, len(bundle.graph)), clips, noise)
            found = figures(mine, theirs, true, bundle.manifest.labels)
            attempts.append(Attempt(method=method, reasons=judge(found, limits), figures=found))
            if not attempts[-1].reasons:
                graphs[graph_file(precision)] = graph
                break
        if attempts:
            held_up = graph_file(precision) in graphs
            precisions[precision] = Precision(file=graph_file(precision) if held_up else None, attempts=tuple(attempts))
    return precisions, graphs


def all_probs(predictor: Predictor, clips: Sequence[ClipInput]) -> list[np.ndarray]:
    """Predictions, a batch at a time."""
    return [probs for batch in _batches(clips) for probs in predictor.predict(batch)]


def _batches(clips: Sequence[ClipInput]) -> Iterator[Sequence[ClipInput]]:
    return (clips[start : start + BATCH] for start in range(0, len(clips), BATCH))


def _made(
    graph: bytes, precision: PrecisionName, method: str, calibration: Sequence[Feed], stress: Sequence[Feed]
) -> tuple[bytes | None, str]:
    """The graph, or why there is none: the converters are others' and may fail in any way."""
    try:
        smaller = lower(graph, precision, method, calibration)
    except UserError as error:
        return None, str(error)
    except Exception as error:
        return None, f"the conversion failed: {type(error).__name__}: {str(error).splitlines()[:1]}"
    if (reason := survives(smaller, stress)) is not None:
        return None, f"onnxruntime does not run it: {reason}"
    return smaller, ""


def _answers(
    lowered: tuple[Predictor, int], fp32: tuple[Predictor, int], clips: Sequence[ClipInput], noise: Sequence[ClipInput]
) -> tuple[Answers, Answers]:
    """Of both, timed in turns, so that whatever else the machine does slows both."""
    pair, some = (lowered, fp32), clips[:_ALONE]
    alone: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    seconds: tuple[list[float], list[float]] = ([], [])
    for clip in some:
        for number, (predictor, _) in enumerate(pair):
            started = time.perf_counter()
            alone[number].append(predictor.predict([clip])[0])
            seconds[number].append(time.perf_counter() - started)
    mine, theirs = (
        Answers(
            all_probs(predictor, clips), all_probs(predictor, noise), alone[number],
            1000 * float(np.median(seconds[number])), size,
        )
        for number, (predictor, size) in enumerate(pair)
    )  # fmt: skip
    return mine, theirs


def _random_clips(predictor: Predictor) -> list[ClipInput]:
    inputs = random_inputs(predictor.shapes, _RANDOM, _FRAMES, np.random.default_rng(0))
    return [
        ClipInput(
            {part: points[row, :length].numpy() for part, points in inputs.parts.items()},
            inputs.time_s[row, :length].numpy(), float(inputs.aspect[row]),
        )
        for row, length in enumerate(inputs.lengths.tolist())
    ]  # fmt: skip
