"""If these fail, sentences can be trained but not bundled, measured or served."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import pytest

from serve.api import make_api
from sigflow import runs
from sigflow.bundle import read_bundle
from sigflow.data.clips import load_clips
from sigflow.data.folds import make_folds
from sigflow.data.targets import rarest_words, vocabulary, words
from sigflow.export.gate import Limits
from sigflow.pipelines.bundle import build_bundle
from sigflow.pipelines.compose import compose_sentences
from sigflow.pipelines.evaluate import evaluate
from sigflow.pipelines.fold_worker import train_fold
from sigflow.predictor import ClipInput, Predictor
from sigflow.recipes.catalogue import find_recipe
from sigflow.recipes.recipe import override
from sigflow.storage import Location, locate
from tests.serve.shelves import shelf_of
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


@pytest.fixture(scope="module")
def bundle(run: Location, tmp_path_factory: pytest.TempPathFactory) -> Location:
    place = locate(tmp_path_factory.mktemp("bundles") / "signs")
    build_bundle([run], place, limits=Limits(slowdown=1000))
    return place


def test_a_bundle_of_sentences_is_measured_and_answers_with_glosses(bundle: Location) -> None:
    manifest = read_bundle(bundle).manifest
    assert manifest.task == "sentences"
    assert manifest.metrics["measured_on"] == "holdout subjects"
    assert manifest.metrics["holdout"]["wer"] == pytest.approx(manifest.metrics["oof"]["wer"], abs=0.5)
    clip = [[[0.4 + 0.01 * point, 0.5, 0.0] for point in range(21)]] * 12
    body = {"landmarks": {"right_hand": [*clip, None]}, "fps": 25}
    answer = Client(make_api(shelf_of(read_bundle(bundle)))).post(f"/v1/models/{manifest.name}:predict", json=body)
    assert answer.status_code == 200
    (prediction,) = answer.json()["predictions"]
    assert set(prediction["glosses"]) <= set(manifest.labels[1:])
    assert prediction["label"] == " ".join(prediction["glosses"])


def test_a_bundle_of_sentences_says_how_to_decode_it_and_carries_log_probabilities(bundle: Location) -> None:
    loaded = read_bundle(bundle)
    how = loaded.manifest.decoding
    assert (how.method, how.output, how.log_output, how.blank) == ("ctc_greedy", "probs", "log_probs", 0)
    session = onnxruntime.InferenceSession(loaded.graph, providers=["CPUExecutionProvider"])
    clip = ClipInput({}, np.arange(5, dtype=np.float32) / 25, 1.0)
    probs, logs = session.run([how.output, how.log_output], Predictor(loaded).feed([clip]))
    assert probs.shape == logs.shape == (1, 5, len(loaded.manifest.labels))
    assert np.allclose(np.exp(logs), probs, atol=1e-6)


def test_word_errors_and_blanks_decide_on_precisions_of_sentences(bundle: Location) -> None:
    manifest = read_bundle(bundle).manifest
    assert manifest.gate["measured_on"] == "holdout subjects"
    for precision in ("fp16", "int8"):
        last = manifest.precisions[precision].attempts[-1]
        assert {"wer", "wer_fp32", "blank_ratio", "blank_ratio_fp32"} <= set(last.figures)
    assert manifest.precisions["fp16"].file


def test_a_bundle_of_sentences_is_evaluated_without_keeping_frames(
    bundle: Location, run: Location, tmp_path: Path
) -> None:
    answer = evaluate(bundle, locate(runs.read_run(run).data), locate(tmp_path / "out"), against=bundle)
    held = read_bundle(bundle).manifest.metrics["holdout"]["per_subject"]
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    for name, figures in held.items():
        assert told["per_subject"][name] == figures
    (test,) = answer["against"]["tests"]
    assert (test["figure"], test["difference"], test["significant"]) == ("wer", 0.0, False)
    table = pq.read_table(tmp_path / "out" / "predictions.parquet")
    assert "probs" not in table.schema.names
    assert sum(table["edits"].to_pylist()) == pytest.approx(answer["wer"] * told["signed_glosses"])
