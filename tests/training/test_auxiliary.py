"""If these fail, heads that were asked for learn nothing, or leave traces in what is served."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from sigflow.data.clips import Clips, load_clips
from sigflow.data.folds import Fold, make_folds
from sigflow.data.sentences import compose
from sigflow.data.targets import rarest_words, vocabulary, words
from sigflow.errors import UserError
from sigflow.export import EnsembleModel, to_onnx
from sigflow.features.frontend import compute_features
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import Recipe, override
from sigflow.storage import Location
from sigflow.topology import SIGNING
from sigflow.training import build, fit

SMALL = override(
    find_recipe("continuous_signs"),
    ['frontend.features=[{"kind": "hand", "centre": "frame"}]', "model.projection=null", "model.hidden=[16]",
     "train.epochs=6", "train.batch_size=8", "optim.lr=1e-2", "augmentation={}"],
)  # fmt: skip
SEGMENTING = override(SMALL, ["auxiliary.segmentation=3.0", "train.epochs=15", "train.stop_on=loss"])


@pytest.fixture(scope="module")
def sentences(gesture_landmarks: Location) -> Clips:
    return compose(load_clips(gesture_landmarks, SMALL.parts), 90, glosses=(2, 3), transition_s=(0.3, 0.6))


def fold_of(clips: Clips) -> Fold:
    names = rarest_words(words(clips, sentences=True))
    return make_folds(names, clips.column("subject"), clips.column("split"), spec="3").folds[0]


def trained(recipe: Recipe, clips: Clips) -> tuple[Recipe, tuple[str, ...], dict[str, torch.Tensor]]:
    labels = vocabulary(words(clips, sentences=True), blank=True)
    return recipe, labels, fit(recipe, clips, labels, fold_of(clips)).weights


def test_the_segmentation_head_learns_where_signs_are(sentences: Clips) -> None:
    recipe, labels, weights = trained(SEGMENTING, sentences)
    model = build(recipe, len(labels)).eval()
    model.load_state_dict(weights)
    inputs = sentences.batch(fold_of(sentences).test.tolist())
    _, others = model.answer(compute_features(inputs, recipe.frontend))
    known = ~inputs.parts[SIGNING][..., 0].isnan()
    true = inputs.parts[SIGNING][..., 0][known] > 0.5
    said = others["segmentation"][..., 0][known].detach()
    assert roc_auc_score(true.numpy(), said.numpy()) > 0.75  # 0.5 is chance, also for "signing" everywhere


def test_the_phonology_head_is_taught_standardised_features(sentences: Clips) -> None:
    everything = Clips(sentences.table, sentences.offsets, sentences.time_s_S, sentences.aspect_N,
                       sentences.parts | {"pose": torch.rand(len(sentences.time_s_S), 33, 3)})  # fmt: skip
    recipe, _, weights = trained(override(SMALL, ["auxiliary.phonology=1.0"]), everything)
    assert recipe.parts == ("left_hand", "right_hand", "pose")
    assert weights["auxiliary.phonology.weight"].shape == (36, 32)
    assert float(weights["auxiliary_scalers.phonology.std"].max()) != 1.0
    untrained = build(recipe, 4).state_dict()["auxiliary.phonology.weight"]
    assert not torch.allclose(weights["auxiliary.phonology.weight"], untrained, atol=0.05)


@pytest.mark.slow
def test_heads_are_not_exported(sentences: Clips) -> None:
    torch.manual_seed(0)
    with_head = EnsembleModel([[build(SEGMENTING, 4).eval()]], [1.0]).eval()
    without = EnsembleModel([[build(SMALL, 4).eval()]], [1.0]).eval()
    assert len(to_onnx(with_head)) == pytest.approx(len(to_onnx(without)), rel=0.01)


def test_sentences_without_times_cannot_teach_segmentation(gesture_landmarks: Location) -> None:
    with pytest.raises(UserError, match="has no signing"):
        load_clips(gesture_landmarks, SEGMENTING.parts)
