"""Bundles of the smallest graphs of their kind, whose answers can be told from what they are asked, and random clips.

`MEAN`: the right hand's mean point, one part alone, so that it reads every body;
`SENTENCES`: the left hand's mean point as likelihoods of three labels, in each frame; `VOTES`: two members' of its sum.
"""

from typing import Any

import numpy as np
import onnx.parser

from sigflow.bundle import Bundle, GraphTensor, Manifest
from sigflow.predictor import ClipInput

HANDS = {"left_hand": (21, 3), "right_hand": (21, 3)}
MEAN = """<ir_version: 10, opset_import: ["": 20]>
tiny (float[batch, frames, 21, 3] right_hand, float[batch, frames] time_s, float[batch] aspect, int64[batch] lengths)
=> (float[batch, 3] probs) <float zero = {0}, int64[2] rest = {1, 2}> {
    missing = IsNaN(right_hand)
    seen = Where(missing, zero, right_hand)
    mean = ReduceMean<keepdims = 0>(seen, rest)
    probs = Softmax(mean)
}"""
_HEAD = """<ir_version: 10, opset_import: ["": 20]>
tiny (float[batch, frames, 21, 3] left_hand, float[batch, frames] time_s, float[batch] aspect, int64[batch] lengths)
"""
SENTENCES = (
    _HEAD
    + """=> (float[batch, frames, 3] probs) <float zero = {0}, int64[1] points = {2}> {
    missing = IsNaN(left_hand)
    seen = Where(missing, zero, left_hand)
    mean = ReduceMean<keepdims = 0>(seen, points)
    probs = Softmax(mean)
}"""
)
VOTES = (
    _HEAD
    + """=> (float[batch, 3] probs, float[batch, 2, 3] votes)
<float zero = {0}, float two = {2}, int64[2] rest = {1, 2}, int64[1] member = {1}> {
    missing = IsNaN(left_hand)
    seen = Where(missing, zero, left_hand)
    sum = ReduceSum<keepdims = 0>(seen, rest)
    half = Div(sum, two)
    first = Softmax(sum)
    second = Softmax(half)
    probs = Mean(first, second)
    row = Unsqueeze(first, member)
    other = Unsqueeze(second, member)
    votes = Concat<axis = 1>(row, other)
}"""
)


def tiny(name: str, text: str, **changes: Any) -> Bundle:
    """A bundle of one of these graphs; with changes to its manifest."""
    graph = onnx.parser.parse_model(text)
    manifest = Manifest(
        name=name, version="1", created="2025-01-01T00:00:00+00:00", labels=("none", "left", "right"),
        parts=("left_hand",), extractor="", recipes=(), metrics={}, parity={}, members=({"run": "a"}, {"run": "b"}),
        inputs=(GraphTensor(name="left_hand", dtype="float32", shape=("batch", "frames", 21, 3)),),
        outputs=tuple(GraphTensor(name=output.name, dtype="float32", shape=()) for output in graph.graph.output),
    )  # fmt: skip
    return Bundle(manifest.model_copy(update=changes), graph.SerializeToString())


def tiny_bundle(name: str = "tiny") -> Bundle:
    """Of `MEAN`."""
    sizes: dict[str, tuple[int | str, ...]] = {
        "right_hand": ("batch", "frames", 21, 3), "time_s": ("batch", "frames"), "aspect": ("batch",),
        "lengths": ("batch",),
    }  # fmt: skip
    return tiny(
        name, MEAN, labels=("x", "y", "z"), parts=("right_hand",), members=({"run": "none", "weight": 1.0},),
        inputs=tuple(GraphTensor(name=each, dtype="", shape=shape) for each, shape in sizes.items()),
    )  # fmt: skip


def clips_of(*lengths: int) -> list[ClipInput]:
    """Clips of both hands, of which some frames are missing."""
    rng = np.random.default_rng(0)
    clips = []
    for length in lengths:
        hands = {part: rng.uniform(0.1, 0.9, (length, *shape)).astype(np.float32) for part, shape in HANDS.items()}
        hands["left_hand"][: length // 2] = np.nan
        clips.append(ClipInput(hands, np.arange(length, dtype=np.float32) / 25, float(rng.uniform(0.5, 2))))
    return clips
