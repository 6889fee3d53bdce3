"""If these fail, a recipe that is shipped cannot be named, trained, exported or served."""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch

from serve.api import make_api
from sigflow.bundle import GRAPH, Manifest, read_bundle, write_bundle
from sigflow.data.augment import Augmentation
from sigflow.data.clips import Clips
from sigflow.data.folds import Fold
from sigflow.data.targets import vocabulary, words
from sigflow.decoding import ctc_greedy
from sigflow.errors import UserError
from sigflow.export import EnsembleModel, check_graph, graph_inputs, run_graph, to_onnx
from sigflow.export.precision import METHODS, lower
from sigflow.features.frontend import input_shapes
from sigflow.features.inputs import input_names
from sigflow.losses import CrossEntropy
from sigflow.models.graph import GraphConfig
from sigflow.models.lstm import LstmConfig
from sigflow.monitors import Monitors
from sigflow.optim import OptimConfig
from sigflow.recipes.catalogue import RECIPES, find_recipe
from sigflow.recipes.recipe import Recipe, read_recipe
from sigflow.storage import locate
from sigflow.training import FoldResult, build, fit
from tests.serve.shelves import shelf_of
from tests.serve.test_api import Client

FRAMES, EACH = 24, 12
NAMES = ("a", "b", "c")
GOLDEN = {
    "isolated_gestures": 1.0919, "unified_signs": 0.9856, "continuous_signs": 6.3753, "fall_detection": 0.1876,
    "lip_reading": 1.0485, "any_sequence": 2.1061,
}  # fmt: skip
each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
# Networks of another recipe, in other sizes or taught otherwise.
SAME = ("recorded_gestures", "lip_reading_v2", "lip_reading_v3")
each_network = pytest.mark.parametrize(
    "recipe", [recipe for name, recipe in RECIPES.items() if name not in SAME],
    ids=lambda recipe: recipe.name,
)  # fmt: skip
LARGE = ("unified_signs", "continuous_signs", "lip_reading", "any_sequence")  # take a minute to export
each_graph = pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, id=name, marks=[pytest.mark.slow] if name in LARGE else [])
        for name, recipe in RECIPES.items() if name not in SAME
    ],
)  # fmt: skip


def moving_clips(recipe: Recipe, each: int = EACH) -> Clips:
    """Clips in which everything swings, each label with its own tempo and width; sentences: one gloss after another."""
    generator = torch.Generator().manual_seed(0)
    sentences = recipe.sentences
    names = NAMES[: num_classes(recipe)]
    n, count = len(names), each * len(names)
    glosses = [[names[i % n]] if not sentences else [names[i % n], names[(i // n) % n]] for i in range(count)]
    time_s = torch.arange(FRAMES) / 25
    parts: dict[str, list[torch.Tensor]] = {}
    for part, shape in input_shapes([recipe.frontend]).items():
        still = 0.3 + 0.4 * torch.rand(shape, generator=generator)
        aside = torch.randn(shape, generator=generator)
        for sentence in glosses:
            swing = torch.cat(
                [
                    (0.02 + 0.06 * NAMES.index(name)) * (2 * torch.pi * (1 + NAMES.index(name)) * steps).sin()
                    for name, steps in zip(sentence, time_s.chunk(len(sentence)), strict=True)
                ]
            )
            noise = 0.003 * torch.randn(FRAMES, *shape, generator=generator)
            moved = still + swing.reshape(-1, *[1] * len(shape)) * (0.5 + aside) + noise
            parts.setdefault(part, []).append(moved)
    table = pa.table(
        {
            "clip_id": [f"{i:03d}" for i in range(count)],
            "label": [None if sentences else names[0] for names in glosses],
            "glosses": glosses if sentences else pa.nulls(count, pa.list_(pa.string())),
            "subject": [f"s{i % 4}" for i in range(count)],
        }
    )
    return Clips(
        table, torch.arange(count + 1) * FRAMES, time_s.repeat(count), torch.full((count,), 4 / 3),
        {part: torch.cat(frames) for part, frames in parts.items()},
    )  # fmt: skip


def num_classes(recipe: Recipe) -> int:
    """Falls are told from what is none."""
    return 2 if isinstance(recipe.model, LstmConfig) and recipe.model.single_logit else 3


@cache
def trained(name: str) -> tuple[Clips, Fold, FoldResult]:
    """A recipe after a moment of training, once for all tests."""
    recipe = fitted(RECIPES[name])
    clips = moving_clips(recipe)
    labels = vocabulary(words(clips, sentences=recipe.sentences), blank=recipe.sentences)
    rows = np.arange(len(clips))
    fold = Fold(0, rows[rows % 12 < 6], rows[rows % 12 // 3 == 2], rows[rows % 12 // 3 == 3])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny steps: a second thread only waits
    result = fit(quick(recipe, 60 if recipe.sentences else 12), clips, labels, fold)
    torch.set_num_threads(threads)
    return clips, fold, result


@cache
def exported(name: str) -> tuple[EnsembleModel, bytes]:
    """The fold model of `trained`, and its graph."""
    clips, _, result = trained(name)
    recipe = fitted(RECIPES[name])
    network = build(recipe, len(vocabulary(words(clips, sentences=recipe.sentences), blank=recipe.sentences)))
    network.load_state_dict(result.weights)
    model = EnsembleModel([[network.eval()]], [1.0]).eval()
    return model, to_onnx(model)


def fitted(recipe: Recipe) -> Recipe:
    return recipe.fitted_to(longest=FRAMES, channels=5)


def quick(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe's network and features, trained for a moment."""
    train = recipe.train.model_copy(update={"epochs": epochs, "patience": epochs, "batch_size": 8})
    model = recipe.model
    if isinstance(model, GraphConfig):  # its dropout is made for tens of thousands of clips
        model = model.model_copy(update={"dropout": 0.1})
    # 18 sentences are too few to learn them in any other pose.
    augmentation = Augmentation() if recipe.sentences else recipe.augmentation
    monitors = Monitors(collapse="warn", blank="warn")  # in a moment of training nothing has got going yet
    changed = {
        "train": train, "model": model, "optim": OptimConfig(lr=3e-3), "augmentation": augmentation,
        "monitors": monitors,
    }  # fmt: skip
    return recipe.model_copy(update=changed)


@each_recipe
def test_it_survives_json_and_is_found_by_name_and_by_file(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(recipe.model_dump_json())
    assert read_recipe(file) == find_recipe(str(file)) == find_recipe(recipe.name) == recipe


@each_network
def test_training_lowers_its_loss_and_learns_clips_made_for_it(recipe: Recipe) -> None:
    _, fold, result = trained(recipe.name)
    members: dict[float, list[float]] = {}
    for epoch in result.history:
        members.setdefault(epoch.get("member", 0), []).append(epoch["loss"])
    for losses in members.values():  # a rocket is solved at once; elsewhere one epoch may go astray
        assert len(losses) == 1 or np.mean(losses[-3:]) < np.mean(losses[:3])
    if recipe.sentences:
        assert result.metrics["wer"] < 0.6
    else:
        assert result.metrics["accuracy"] > 1 / num_classes(recipe) + 0.2
    assert len(result.test_probs) == len(fold.test)


@each_network
def test_its_first_epoch_has_the_loss_that_it_had(recipe: Recipe) -> None:
    """Features, augmentation, network, loss or optimiser changed what they compute: was it meant?"""
    first = [epoch["loss"] for epoch in trained(recipe.name)[2].history if epoch["epoch"] == 1]  # one per member
    assert sum(first) == pytest.approx(GOLDEN[recipe.name], rel=2e-3)


@each_graph
def test_what_is_served_is_what_was_trained(recipe: Recipe, tmp_path: Path) -> None:
    clips, fold, result = trained(recipe.name)
    recipe = fitted(recipe)
    labels = vocabulary(words(clips, sentences=recipe.sentences), blank=recipe.sentences)
    model, graph = exported(recipe.name)
    assert max(check_graph(graph, model).values()) < 1e-4
    manifest = Manifest(
        name=recipe.name, version="1", created="2026-01-01T00:00:00+00:00", labels=labels, parts=tuple(model.shapes),
        task="sentences" if recipe.sentences else "classification", inputs=graph_inputs(graph), extractor="tests",
        recipes=(), members=(), metrics={}, parity={},
    )  # fmt: skip
    write_bundle(locate(tmp_path), manifest, {GRAPH: graph})
    client = Client(make_api(shelf_of(read_bundle(locate(tmp_path)))))
    row = int(fold.test[0])
    frames = slice(row * FRAMES, (row + 1) * FRAMES)
    body = {
        "landmarks": {part: values[frames].tolist() for part, values in clips.parts.items()},
        "time_ms": (1000 * clips.time_s_S[frames]).tolist(), "aspect": 4 / 3,
    }  # fmt: skip
    answer = client.post(f"/v1/models/{recipe.name}:predict", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()["predictions"][0]
    if recipe.sentences:
        assert told["glosses"] == [labels[k] for k in ctc_greedy(result.test_probs[0])]
    else:
        for label, prob in told["probabilities"].items():
            assert prob == pytest.approx(float(result.test_probs[0][labels.index(label)]), abs=1e-4)


def test_a_fall_detector_in_int8_fits_into_100_kilobytes_and_answers_as_before() -> None:
    clips, fold, _ = trained("fall_detection")
    model, graph = exported("fall_detection")
    inputs = clips.batch(fold.test.tolist())
    names = input_names(tuple(model.shapes))
    feed = {name: tensor.numpy() for name, tensor in zip(names, inputs.flat(), strict=True)}
    expected = run_graph(onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]), inputs)
    for method in METHODS["int8"]:
        small = lower(graph, "int8", method, [feed])
        assert len(small) < 100_000
        probs_BK = run_graph(onnxruntime.InferenceSession(small, providers=["CPUExecutionProvider"]), inputs)
        assert (probs_BK.argmax(1) == expected.argmax(1)).all()


def test_raw_recipes_take_channels_and_length_from_the_data() -> None:
    recipe = RECIPES["any_sequence"].fitted_to(longest=1000, channels=7)
    assert recipe.frontend.size == 7
    assert recipe.frontend.resampling.num_frames == 256
    short = RECIPES["any_sequence"].fitted_to(longest=40, channels=7)
    assert short.frontend.resampling.num_frames is None


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UserError, match="unknown recipe 'gesture'; use isolated_gestures"):
        find_recipe("gesture")


def test_ctc_and_models_for_whole_clips_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="answers for each frame"):
        Recipe.model_validate(RECIPES["continuous_signs"].model_dump() | {"loss": CrossEntropy().model_dump()})
