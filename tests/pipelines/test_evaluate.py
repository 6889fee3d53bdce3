"""If these fail, a bundle is judged on clips that it cannot know, or called better when it is chance."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sigflow.bundle import MANIFEST, Manifest, read_bundle, write_bundle
from sigflow.errors import UserError
from sigflow.landmarks.synthetic import GESTURES, SUBJECTS
from sigflow.pipelines.evaluate import evaluate
from sigflow.storage import Location, locate


@pytest.fixture(scope="module")
def others(write_gestures: Callable[..., Location], tmp_path_factory: pytest.TempPathFactory) -> Location:
    """Four gestures of two people, of which the bundle knows three gestures and one person."""
    folder = tmp_path_factory.mktemp("others")
    return write_gestures(folder, subjects=SUBJECTS[4:6], gestures=GESTURES[:4], takes=5)


@pytest.fixture(scope="module")
def evaluated(full_bundle: Location, others: Location, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = locate(tmp_path_factory.mktemp("evaluation"))
    return evaluate(full_bundle, others, out, against=full_bundle, precision="int8")


def test_clips_with_labels_that_the_bundle_does_not_know_are_counted_and_left_out(evaluated: dict[str, Any]) -> None:
    assert evaluated["clips"] == 30
    assert evaluated["left_out"] == {"without_label": 0, "unknown_labels": {GESTURES[3]: 10}}
    assert evaluated["warnings"] == []


def test_figures_are_those_of_the_predictions_that_are_written(evaluated: dict[str, Any]) -> None:
    out = Path(evaluated["out"])
    table = pq.read_table(out / "predictions.parquet")
    metrics = json.loads((out / "metrics.json").read_text())["metrics"]
    right = np.array(table["right"])
    assert [
        a == b for a, b in zip(table["label"].to_pylist(), table["given"].to_pylist(), strict=True)
    ] == right.tolist()
    assert metrics["accuracy"] == evaluated["accuracy"] == pytest.approx(right.mean())
    assert set(metrics["per_subject"]) == {subject.name for subject in SUBJECTS[4:6]}
    assert set(metrics["per_class"]) == set(GESTURES[:3])
    confidence = np.array(table["confidence"])
    assert np.allclose(confidence, [max(probs) for probs in table["probs"].to_pylist()])
    assert metrics["risk_coverage"]["curve"][-1]["risk"] == pytest.approx(1 - right.mean())
    assert 0 <= evaluated["aurc"] <= 1 - right.mean() + 1e-9
    assert 0 < evaluated["latency_ms"]["p50"] <= evaluated["latency_ms"]["p99"]


def test_pictures_of_calibration_risk_confusions_and_subjects_are_drawn(evaluated: dict[str, Any]) -> None:
    out = Path(evaluated["out"])
    for name in ("reliability", "risk_coverage", "confusion", "subjects"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_int8_against_fp32_of_the_same_bundle_could_be_chance(evaluated: dict[str, Any]) -> None:
    accuracy, f1 = evaluated["against"]["tests"]
    assert (accuracy["figure"], f1["figure"]) == ("accuracy", "macro_f1")
    assert accuracy["p_value"] > 0.05
    assert not accuracy["significant"]
    low, high = f1["interval"]
    assert low <= f1["difference"] <= high


def test_a_bundle_that_swaps_its_labels_is_significantly_worse(
    full_bundle: Location, others: Location, tmp_path: Path
) -> None:
    manifest = read_bundle(full_bundle).manifest
    swapped = manifest.model_copy(update={"labels": (*manifest.labels[1:], manifest.labels[0]), "precisions": {}})
    place = locate(tmp_path / "swapped")
    write_bundle(place, swapped, {"model.fp32.onnx": (full_bundle / "model.fp32.onnx").read_bytes()})
    accuracy, _ = evaluate(place, others, locate(tmp_path / "out"), against=full_bundle)["against"]["tests"]
    assert accuracy["significant"]
    assert accuracy["difference"] < -0.5


def test_landmarks_of_another_extractor_are_warned_of(
    exported_bundle: Location, others: Location, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = read_bundle(exported_bundle)
    place = locate(tmp_path / "bundle")
    write_bundle(place, bundle.manifest.model_copy(update={"extractor": "other"}), {"model.fp32.onnx": bundle.graph})
    answer = evaluate(place, others, locate(tmp_path / "out"))
    assert "another extractor (other)" in answer["warnings"][0]
    assert "warning: gestures was trained on landmarks of another extractor" in capsys.readouterr().err


def test_nothing_to_score_and_unlike_bundles_are_refused(
    exported_bundle: Location, write_gestures: Callable[..., Location], others: Location, tmp_path: Path
) -> None:
    strange = write_gestures(tmp_path / "strange", subjects=SUBJECTS[:1], gestures=GESTURES[3:5], takes=1)
    with pytest.raises(UserError, match=r"no clip of .* has a label that .* knows"):
        evaluate(exported_bundle, strange, locate(tmp_path / "out"))
    manifest = json.loads((exported_bundle / MANIFEST).read_bytes())
    signs = Manifest.model_validate(manifest | {"task": "sentences"})
    write_bundle(locate(tmp_path / "signs"), signs, {"model.fp32.onnx": read_bundle(exported_bundle).graph})
    with pytest.raises(UserError, match=r"answers with classification, .* with sentences"):
        evaluate(exported_bundle, others, locate(tmp_path / "out"), against=locate(tmp_path / "signs"))
    assert not (tmp_path / "out").exists()
