"""Milliseconds per clip of a bundle's graph against its members run one by one in torch: 1 clip, 32 clips.

Three members of different recipes with two fold models each, one thread, the same made-up clips. In torch each fold
model starts from landmarks, as a script does that loads checkpoints and averages; `shared` computes a member's features
once for its folds, as the graph does. Weights are untrained: they cost the same. All are measured in turns.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import torch

from sigflow.data.clips import Clips
from sigflow.export import EnsembleModel, run_graph, to_onnx
from sigflow.export.precision import METHODS, Feed, lower
from sigflow.features.frontend import input_shapes
from sigflow.features.inputs import Inputs, input_names
from sigflow.recipes.catalogue import RECIPES
from sigflow.training import build
from tests.recipes.test_catalogue import fitted, moving_clips

MEMBERS, FOLDS, CLASSES = ("isolated_gestures", "unified_signs", "continuous_signs"), 2, 10
SIZES, REPEATS = (1, 32), 30


def ensemble() -> EnsembleModel:
    """Members of the recipes' features with a model for whole clips."""
    torch.manual_seed(0)
    groups = []
    for name in MEMBERS:
        recipe = fitted(RECIPES[name])
        if recipe.sentences:
            whole = RECIPES["unified_signs"]
            recipe = whole.model_copy(update={"frontend": recipe.frontend})
        groups.append([build(recipe, CLASSES).eval() for _ in range(FOLDS)])
    return EnsembleModel(groups, [1 / len(MEMBERS)] * len(MEMBERS)).eval()


def one_by_one(model: EnsembleModel, inputs: Inputs) -> np.ndarray:
    """Every fold model from landmarks to probabilities, then the average."""
    with torch.no_grad():
        each = [[fold(inputs).softmax(-1) for fold in group] for group in model.groups]
        return torch.stack([torch.stack(group).mean(0) for group in each]).mean(0).numpy()


def shared(model: EnsembleModel, inputs: Inputs) -> np.ndarray:
    """The ensemble as one torch module."""
    with torch.no_grad():
        answer: np.ndarray = model(*inputs.flat()).numpy()
    return answer


def clips_for(model: EnsembleModel) -> Clips:
    """Made-up clips of everything that the members read."""
    recipe = RECIPES["unified_signs"]
    clips = moving_clips(recipe)
    assert set(input_shapes([group[0].frontend for group in model.groups])) <= set(clips.parts)
    return clips


def measure(ways: dict[str, Callable[[Inputs], np.ndarray]], inputs: Inputs) -> dict[str, float]:
    """Median milliseconds per clip of each way, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for name in [*ways, *list(ways) * REPEATS]:
        started = time.perf_counter()
        ways[name](inputs)
        seconds[name].append(time.perf_counter() - started)
    count = len(inputs.lengths)
    return {name: round(1000 * float(np.median(each[1:])) / count, 4) for name, each in seconds.items()}


def session(graph: bytes) -> onnxruntime.InferenceSession:
    """One thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Print one JSON object."""
    torch.set_num_threads(1)
    model = ensemble()
    clips = clips_for(model)
    names = input_names(tuple(model.shapes))

    def feed(inputs: Inputs) -> Feed:
        return {name: tensor.numpy() for name, tensor in zip(names, inputs.flat(), strict=True)}

    def batch(count: int) -> Inputs:
        inputs = clips.batch(range(count))
        return inputs._replace(parts={part: inputs.parts[part] for part in model.shapes})

    started = time.perf_counter()
    graphs = {"fp32": to_onnx(model)}
    seconds = time.perf_counter() - started
    for precision, methods in METHODS.items():
        for method in methods:
            graphs[f"{precision} {method}"] = lower(graphs["fp32"], precision, method, [feed(batch(32))])
    sessions = {name: session(graph) for name, graph in graphs.items()}
    ways: dict[str, Callable[[Inputs], np.ndarray]] = {
        "torch, one by one": lambda inputs: one_by_one(model, inputs),
        "torch, shared features": lambda inputs: shared(model, inputs),
    }
    for name in graphs:
        ways[name] = partial(run_graph, sessions[name])
    found: dict[str, Any] = {
        "export_s": round(seconds, 1),
        "bytes": {name: len(graph) for name, graph in graphs.items()},
    }
    for size in SIZES:
        figures = measure(ways, batch(size))
        found[f"ms_per_clip_of_{size}"] = figures
        found[f"times_faster_than_one_by_one_of_{size}"] = {
            name: round(figures["torch, one by one"] / value, 2) for name, value in figures.items()
        }
    difference = np.abs(run_graph(sessions["fp32"], batch(32)) - one_by_one(model, batch(32))).max()
    print(json.dumps(found | {"largest_difference": float(difference)}))


if __name__ == "__main__":
    main()
