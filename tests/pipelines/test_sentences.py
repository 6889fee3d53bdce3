"""If these fail, sentences can be trained but not bundled, measured or served."""

from pathlib import Path

import pytest

from serve.api import make_api
from sigflow import runs
from sigflow.bundle import read_bundle
from sigflow.data.clips import load_clips
from sigflow.data.folds import make_folds
from sigflow.data.targets import rarest_words, vocabulary, words
from sigflow.pipelines.bundle import build_bundle
from sigflow.pipelines.compose import compose_sentences
from sigflow.pipelines.fold_worker import train_fold
from sigflow.predictor import Predictor
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.serve.test_api import Client

HANDS = ("left_hand", "right_hand")
SETTINGS = (
    'frontend.features=[{"kind": "hand", "centre": "frame"}]', "train.epochs=12", "train.batch_size=8",
    "model.hidden=[24]", "optim.lr=1e-2",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(gesture_landmarks: Location, tmp_path_factory: pytest.TempPathFactory) -> Location:
    """A run of sentences composed of gestures, with one subject held out."""
    folder = tmp_path_factory.mktemp("sentences")
    data, place = locate(folder / "data"), locate(folder / "run")
    compose_sentences(gesture_landmarks, data, parts=HANDS, count=120, glosses=(2, 3), seed=0)
    recipe = override(find_recipe("continuous_signs"), SETTINGS)
    clips = load_clips(data, recipe.parts)
    sentences = words(clips, sentences=True)
    subjects = clips.column("subject")
    away = sorted({str(subject) for subject in subjects})[:1]
    folds = make_folds(rarest_words(sentences), subjects, clips.column("split"), spec="2", holdout=away)
    given = runs.Run(
        recipe=recipe, data=data.uri, data_fingerprint=clips.fingerprint, extractor=str(clips.column("extractor")[0]),
        labels=vocabulary(sentences, blank=True), num_folds=2, folds_spec="2", folds_fingerprint=folds.fingerprint,
        holdout=tuple(away), subject_independent=True,
    )  # fmt: skip
    runs.start_run(place, given, folds.table([str(name) for name in clips.column("clip_id")]), resume=False)
    for fold in folds.folds:
        train_fold(given, clips, fold, place)
    runs.finish_run(place, given)
    return place


def test_a_run_says_how_many_words_are_wrong(run: Location) -> None:
    given = runs.read_run(run)
    oof = runs.read_oof(run)
    metrics = runs.oof_metrics(oof, given)
    assert metrics["clips"] == len(oof)
    folds = [runs.read_fold_summary(run, fold)["metrics"] for fold in (0, 1)]
    for name in ("wer", "accuracy", "blank_ratio"):  # what was stored of each frame gives the figures of training
        each = sorted(fold[name] for fold in folds)
        assert each[0] - 1e-6 <= metrics[name] <= each[1] + 1e-6
    assert metrics["distinct_predicted"] >= max(fold["distinct_predicted"] for fold in folds)
    assert len(oof["label"][0].as_py().split(" ")) in (2, 3)


def test_a_bundle_of_sentences_is_measured_and_answers_with_glosses(run: Location, tmp_path: Path) -> None:
    manifest = build_bundle([run], locate(tmp_path / "bundle"))
    assert manifest.task == "sentences"
    assert manifest.metrics["measured_on"] == "holdout subjects"
    assert manifest.metrics["holdout"]["wer"] == pytest.approx(manifest.metrics["oof"]["wer"], abs=0.5)
    predictor = Predictor(read_bundle(locate(tmp_path / "bundle")))
    clip = [[[0.4 + 0.01 * point, 0.5, 0.0] for point in range(21)]] * 12
    body = {"landmarks": {"right_hand": [*clip, None]}, "fps": 25}
    answer = Client(make_api({"signs": predictor})).post("/v1/models/signs:predict", json=body)
    assert answer.status_code == 200
    (prediction,) = answer.json()["predictions"]
    assert set(prediction["glosses"]) <= set(manifest.labels[1:])
    assert prediction["label"] == " ".join(prediction["glosses"])
