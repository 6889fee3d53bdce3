"""If these fail, a recipe that is shipped cannot be named, trained, exported or served."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from sigflow.data.clips import Clips, load_clips
from sigflow.errors import UserError
from sigflow.export import EnsembleModel, check_graph, to_onnx
from sigflow.features.frontend import compute_features
from sigflow.losses import cross_entropy
from sigflow.optim import make_optimiser
from sigflow.recipes.catalogue import RECIPES, find_recipe
from sigflow.recipes.recipe import Recipe, read_recipe
from sigflow.storage import Location
from sigflow.training import build

each_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))


@pytest.fixture(scope="module")
def clips(gesture_landmarks: Location) -> Clips:
    return load_clips(gesture_landmarks, ("left_hand", "right_hand"))


@each_recipe
def test_it_survives_json_and_is_found_by_name_and_by_file(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(recipe.model_dump_json())
    assert read_recipe(file) == find_recipe(str(file)) == find_recipe(recipe.name) == recipe


@each_recipe
def test_a_few_steps_lower_the_loss(recipe: Recipe, clips: Clips) -> None:
    model = build(recipe, 3)
    sequences = compute_features(clips.batch(range(60)), recipe.frontend)
    model.scaler.fit(sequences.values)
    labels = clips.column("label")
    target_B = torch.tensor([sorted(set(map(str, labels))).index(str(label)) for label in labels])
    target_BK = torch.nn.functional.one_hot(target_B, 3).float()
    optimiser, losses = make_optimiser(model, recipe.optim), []
    for _ in range(5):
        loss = cross_entropy(model.classify(sequences), target_BK, recipe.loss, None).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@each_recipe
def test_it_exports_and_answers(recipe: Recipe) -> None:
    model = EnsembleModel([[build(recipe, 3).eval()]], [1.0]).eval()
    graph = to_onnx(model)
    assert max(check_graph(graph, model).values()) < 1e-4
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feed: dict[str, np.ndarray] = {part: np.full((1, 4, 21, 3), np.nan, np.float32) for part in recipe.parts}
    feed |= {"time_s": np.arange(4, dtype=np.float32)[None], "aspect": np.ones(1, np.float32),
             "lengths": np.array([4])}  # fmt: skip
    (probs,) = session.run(["probs"], feed)
    assert probs.shape == (1, 3)
    assert probs.sum() == pytest.approx(1.0, abs=1e-5)


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(UserError, match="unknown recipe 'gesture'; use isolated_gestures"):
        find_recipe("gesture")
