"""If these fail, the shipped gesture recipe is not the requirement's network, or does not learn gestures."""

import torch

from sigflow.data.clips import load_clips
from sigflow.data.folds import make_folds
from sigflow.features.frontend import Sequences
from sigflow.recipes.isolated_gestures import RECIPE
from sigflow.recipes.recipe import override
from sigflow.storage import Location
from sigflow.training import build, fit


def test_it_is_30_frames_of_63_numbers_through_lstms_of_64_and_32() -> None:
    model = build(RECIPE, 3)
    assert (RECIPE.frontend.resampling.num_frames, RECIPE.frontend.size) == (30, 63)
    assert sum(parameter.numel() for parameter in model.parameters()) == 46_339 + 384
    assert model.eval().classify(Sequences(torch.randn(2, 30, 63), torch.tensor([30, 30]))).shape == (2, 3)


def test_it_recognises_the_gestures_of_people_whom_it_never_saw(gesture_landmarks: Location) -> None:
    clips = load_clips(gesture_landmarks, RECIPE.parts)
    names = [str(name) for name in clips.column("label")]
    folds = make_folds(names, clips.column("subject"), clips.column("split"), spec="5")
    result = fit(override(RECIPE, ["train.epochs=40"]), clips, sorted(set(names)), folds.folds[0])
    assert result.metrics["macro_f1"] >= RECIPE.gates.macro_f1
